// Agents save orders at the simulated ERP by puppeteer-cluster: a context and a login for each task, which are thrown away
// after it (CONCURRENCY_CONTEXT). Told what to do line by line, as our own driver is: benches/src/browser.rs.
//
// The same form is filled in the same order, in the cheapest way that there is: one call a field, no key strokes, no waiting
// for an element to come to rest. A task is done when the page that answers shows the order's number.

import { createInterface } from 'node:readline';
import process from 'node:process';
import clusters from 'puppeteer-cluster';
import puppeteer from 'puppeteer-core';

const { Cluster } = clusters;

// The cluster's own 30 s would end tasks on a machine that others use too.
const TASK = 120_000;

let task;
let cluster;

const answers = {
  Begin: async (begun) => {
    task = begun;
    return null;
  },
  Save: save,
  End: async () => {
    await cluster?.close();
    cluster = undefined;
    return null;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  const [name, argument] = typeof question === 'string' ? [question] : Object.entries(question)[0];
  let answer;
  try {
    answer = { Ok: await answers[name](argument) };
  } catch (error) {
    answer = { Err: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await cluster?.close();

async function save(sessions) {
  if (sessions !== 'fresh') throw new Error('a cluster keeps no session');
  cluster = await Cluster.launch({
    puppeteer,
    concurrency: Cluster.CONCURRENCY_CONTEXT,
    maxConcurrency: task.people.length,
    timeout: TASK,
    puppeteerOptions: {
      executablePath: task.engine,
      headless: task.headless_shell ? 'shell' : true,
      defaultViewport: null,
      args: ['--disable-gpu', '--disable-dev-shm-usage', ...(process.getuid() === 0 ? ['--no-sandbox'] : [])],
    },
  });
  const report = { done: [], errors: [], browsers: 1 };
  // Each agent's orders one after the other, as an agent's lock has it.
  await Promise.all(task.people.map(async (_, agent) => {
    for (const [number, order] of task.orders.entries()) {
      if (order.agent !== agent) continue;
      const asked = performance.now();
      const since = () => Math.round((performance.now() - asked) * 1000);
      try {
        const took = await cluster.execute({ order, since }, saveOne);
        report.done.push({ ...took, order: number, all_us: since(), cold: true });
      } catch (error) {
        report.errors.push(`order ${number}: ${error}`);
      }
    }
  }));
  return report;
}

async function saveOne({ page, data: { order, since } }) {
  const page_us = since();
  const { login, user, order: path, head, line, add, save: button, number, validation } = task.pages;
  const { user: name, password } = task.people[order.agent];
  const [loginPath, nameField, passwordField, submit] = login;

  await page.goto(new URL(loginPath, task.base).href);
  await fill(page, nameField, name);
  await fill(page, passwordField, password);
  await through(page, page.click(submit));
  const shown = await text(page, user);
  if (shown !== name) throw new Error(`logged in as ${shown}, not ${name}`);
  const ready_us = since();

  const { customer, date, reference, note, product, quantity, discount } = order.typed;
  await page.goto(new URL(path, task.base).href);
  for (const [place, value] of [customer, date, reference, note].entries()) await fill(page, head[place], value);
  // The product posts back by itself.
  await through(page, fill(page, line[0], product));
  await fill(page, line[1], quantity);
  await fill(page, line[2], discount);
  await through(page, page.click(add));
  await through(page, page.click(button));
  if (!await text(page, number)) throw new Error(`no number, but ${await text(page, validation)}`);
  return { page_us, ready_us };
}

// The document that comes of it, loaded; it is waited for before anything is done, so that it cannot be missed.
async function through(page, acting) {
  await Promise.all([page.waitForNavigation(), acting]);
}

async function fill(page, selector, value) {
  await page.evaluate((selector, value) => {
    const field = document.querySelector(selector);
    field.focus();
    field.value = value;
    field.dispatchEvent(new InputEvent('input', { bubbles: true }));
    field.dispatchEvent(new Event('change', { bubbles: true }));
    field.blur();
  }, selector, value);
}

async function text(page, selector) {
  return page.evaluate((selector) => document.querySelector(selector)?.textContent.trim() ?? '', selector);
}
