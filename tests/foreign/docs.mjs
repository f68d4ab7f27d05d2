// Chromium on the page at /docs: what it says on its console, what code it writes, what the request it sends is told.
// Input, as JSON on standard input: {browser, url, token, solution, business, refused, script, folder}.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const { browser: executablePath, url, token, solution, business, refused, script, folder } = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"],
});
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, javaScriptEnabled: script });
  const page = await context.newPage();
  const said = [];
  const asked = [];
  page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => said.push(`error: ${error.message}`));
  page.on("request", (request) => asked.push(request.url()));
  await page.goto(`${url}/docs`, { waitUntil: "load" });

  const seen = { title: await page.title(), code: {}, answers: [] };
  await page.fill("#solution", solution);
  await page.fill("#business", business);
  if (script) {
    await page.fill("#token", token);
  } else {
    await page.click("#fill");
  }
  for (const name of ["curl", "python", "javascript"]) {
    await page.click(`label[for=tab-${name}]`);
    seen.code[name] = await page.innerText(`.panel-${name}`);
  }
  if (script) {
    for (const id of [business, refused]) {
      await page.fill("#business", id);
      const [answer] = await Promise.all([page.waitForResponse((response) => response.url().includes("/access_token?")), page.click("#send")]);
      await page.waitForFunction((status) => document.getElementById("result-status").textContent === status, String(answer.status()));
      seen.answers.push({ status: answer.status(), shown: await page.innerText("#result-body") });
    }
    await page.fill("#business", business);
    await page.check("#reveal");
    seen.revealed = await page.innerText(".panel-javascript");
    await page.uncheck("#reveal");
    seen.stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  }
  seen.address = page.url();
  seen.said = said;
  seen.asked = asked;
  // Wider than the window means that something sticks out.
  seen.overflow = [];
  for (const [width, colorScheme] of [[1280, "light"], [390, "light"], [390, "dark"], [1280, "dark"]]) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    seen.overflow.push(script ? await page.evaluate(() => document.documentElement.scrollWidth - innerWidth) : 0);
    if (folder) await page.screenshot({ path: `${folder}/${width}-${colorScheme}.png`, fullPage: true });
  }
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
