"""Tokens for other people's HTTP clients: each adapter puts the token into a call, and tells the provider when it was refused.

A refusal is a 401, or a 400 whose body is a Graph API error about the token (190, 102). The call is then sent once more with the
next token, if there is one and if its body can be sent again.
"""
