// Drives a report page in headless Chromium: keys, decisions, CSV, window, zoom, slices, no request, no error, axe.
//
//   npm install --prefix SOMEWHERE playwright-core axe-core
//   NODE_PATH=SOMEWHERE/node_modules node scripts/check_report_page.mjs report.html [chromium]
//
// Prints one line of JSON: what was seen. tests/evaluation/report/test_browser.py calls it and judges.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [, , file, executablePath = "/usr/bin/chromium"] = process.argv;
const address = pathToFileURL(resolve(file)).href;

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const seen = { errors: [], requests: [], axe: {}, overflow: {} };

async function open(width, colorScheme) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, bypassCSP: false });
  const page = await context.newPage();
  page.on("console", (message) => {
    // This script reads a canvas twice, which the page does not.
    const own = message.text().includes("willReadFrequently");
    if (["error", "warning"].includes(message.type()) && !own) seen.errors.push(message.text());
  });
  page.on("pageerror", (error) => seen.errors.push(error.message));
  page.on("request", (request) => {
    const url = request.url();
    if (url !== address && !url.startsWith("data:") && !url.startsWith("blob:")) seen.requests.push(url);
  });
  const before = Date.now();
  await page.goto(address);
  return { page, seconds: (Date.now() - before) / 1000 };
}

// Accessibility and width: three screens. axe runs in an isolated world, which the page's policy does not reach.
for (const [name, width, scheme] of [["desktop", 1400, "light"], ["dark", 1400, "dark"], ["phone", 390, "light"]]) {
  const { page, seconds } = await open(width, scheme);
  if (name === "desktop") seen.seconds = seconds;
  seen.overflow[name] = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const world = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  const run = (expression) => session.send("Runtime.evaluate", {
    expression, contextId: world.executionContextId, awaitPromise: true, returnByValue: true,
  });
  await run(`${axe};0`);
  const { result } = await run("axe.run().then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes.length, v.nodes[0].html.slice(0, 200), v.nodes[0].failureSummary]))");
  seen.axe[name] = result.value;
  await page.context().close();
}

const { page } = await open(1400, "light");
seen.suspects = await page.locator(".suspect[data-rank]").count();
if (seen.suspects) {
  const filter = () => page.evaluate(() => document.querySelector("#window feFuncR").getAttribute("slope"));
  const zoom = () => page.evaluate(() => document.documentElement.style.getPropertyValue("--zoom"));
  const current = () => page.evaluate(() => document.querySelector(".suspect.current").dataset.rank);
  seen.first = await current();
  await page.keyboard.press("w");
  if (seen.suspects > 1) await page.keyboard.press("ArrowRight");
  seen.second = await current();
  await page.keyboard.press("k");
  seen.progress = await page.locator("#progress").textContent();
  // Window by mouse, by key and by slider; zoom by key.
  const view = page.locator(".suspect.current .view").first();
  await view.scrollIntoViewIfNeeded();
  const box = await view.boundingBox();
  await page.mouse.move(box.x + 20, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x - 30, box.y + 20);
  await page.mouse.up();
  seen.slopeAfterMouse = Number(await filter());
  await page.keyboard.press("]");
  seen.slopeAfterKey = Number(await filter());
  await page.keyboard.press("+");
  seen.zoom = Number(await zoom());
  await page.mouse.dblclick(box.x + 20, box.y + 20);
  seen.afterReset = [Number(await filter()), Number(await zoom())];
  // b shows the training image in place of the synthetic one, and puts it back.
  const captions = () => page.locator(".suspect.current .panels:not([hidden]) .panel.grey figcaption").allTextContents();
  seen.captions = [await captions()];
  await page.keyboard.press("b");
  seen.captions.push(await captions());
  await page.keyboard.press("b");
  seen.captions.push(await captions());
  // c shows the next channel of all suspects, and the last is followed by the first.
  if (await page.locator("#channel").count()) {
    const shown = () => page.evaluate(() => [
      document.querySelector("#channel").selectedOptions[0].textContent,
      [...document.querySelectorAll(".suspect")].map((card) => card.querySelector(".panels:not([hidden])").dataset.view).join(),
      document.querySelectorAll(".panels:not([hidden])").length,
    ]);
    seen.channels = [await shown()];
    for (let number = await page.locator("#channel option").count(); number > 0; number--) {
      await page.keyboard.press("c");
      seen.channels.push(await shown());
    }
    await page.keyboard.press("c");
    await page.keyboard.press("b");
    seen.channelCaptions = await page.locator(".suspect.current .panels:not([hidden]) figcaption").allTextContents();
    await page.keyboard.press("b");
  }
  // The keys can be switched off.
  await page.locator(".help summary").click();
  await page.locator("#shortcuts").uncheck();
  await page.locator("h1").click();
  await page.keyboard.press("w");
  seen.progressWithoutKeys = await page.locator("#progress").textContent();
  if (await page.locator(".volume").count()) {
    await page.waitForFunction(() => document.body.dataset.planes === "drawn");
    const sum = () => page.evaluate(() => {
      const canvas = document.querySelector(".volume canvas");
      return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.reduce((a, b) => a + b, 0);
    });
    const middle = await sum();
    await page.locator(".slices input").first().fill("0");
    await page.waitForTimeout(300);
    seen.slices = { middle, first: await sum(), label: await page.locator(".slices output").first().textContent() };
  }
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#save").click()]);
  seen.csvName = download.suggestedFilename();
  seen.csv = readFileSync(await download.path(), "utf8");
}
await browser.close();
console.log(JSON.stringify(seen));
