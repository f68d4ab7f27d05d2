"""What changes the facts: every change and its event in one transaction. Time and actor are passed in."""
