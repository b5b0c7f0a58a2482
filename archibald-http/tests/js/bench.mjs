// What the tests stand on: the server that they are given, and a line to it that breaks when it is told to.

import net from "node:net";
import { ArchibaldClient, MemoryStorage } from "../../web/client.js";

const { ARCHIBALD_URL, CONTROL_URL, NANCY_TOKEN: TOKEN } = process.env;

/** A client that comes back fast, over whatever line. */
export async function device({ base = ARCHIBALD_URL, storage = new MemoryStorage(), ...options } = {}) {
  const pace = { base: 5, longest: 50, patience: 5_000, wait: 2_000 };
  const client = new ArchibaldClient({ base, agent: "nancy", token: TOKEN, storage, pace, ...options });
  await client.start();
  return client;
}

/** Asks the server behind the back of every device. */
export async function control(path) {
  const response = await fetch(`${CONTROL_URL}/${path}`, { method: "POST" });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.text();
}

/** What the server itself says, over a sound line. */
export async function read(path) {
  const headers = { Authorization: `Bearer ${TOKEN}` };
  const response = await fetch(`${ARCHIBALD_URL}/v1/agents/nancy/${path}`, { headers });
  return response.json();
}

/** Resolves when the condition holds, asked whenever the client has something new. */
export function until(client, condition) {
  return new Promise((resolve, reject) => {
    const ends = [];
    const look = () => {
      if (!condition()) return;
      for (const end of ends) end();
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(() => reject(new Error(`it did not come: ${condition}`)), 30_000);
    for (const type of ["change", "state", "frame", "refused"]) ends.push(client.on(type, look));
    look();
  });
}

/** A line that can be cut, be down, and lose answers whose requests arrived. */
export class Line {
  #sockets = new Set();
  #server;
  down = false;
  loseAnswers = false;

  static async open() {
    const line = new Line();
    line.#server = net.createServer((near) => line.#join(near));
    await new Promise((resolve) => line.#server.listen(0, "127.0.0.1", resolve));
    line.url = `http://127.0.0.1:${line.#server.address().port}`;
    return line;
  }

  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  close() {
    this.cut();
    this.#server.close();
  }

  #join(near) {
    if (this.down) return near.destroy();
    const { hostname, port } = new URL(ARCHIBALD_URL);
    const far = net.connect(Number(port), hostname);
    let writes = false;
    for (const [one, other] of [[near, far], [far, near]]) {
      this.#sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => (this.#sockets.delete(one), other.destroy()));
    }
    near.on("data", (data) => {
      writes ||= /^(POST|PUT|DELETE) /.test(data);
      far.write(data);
    });
    far.on("data", (data) => (this.loseAnswers && writes ? near.destroy() : near.write(data)));
  }
}
