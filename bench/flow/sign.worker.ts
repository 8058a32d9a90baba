/** One core's share of the limit: RSA-2048 signatures as fast as they go, told in microseconds each. Started once a core, all at once. */
import { generateKeyPairSync, sign } from "node:crypto";
import { parentPort } from "node:worker_threads";

const WARM = 200;
const COUNT = 1500;

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const data = Buffer.alloc(600, "a");
for (let i = 0; i < WARM; i++) sign("sha256", data, privateKey);
const began = performance.now();
for (let i = 0; i < COUNT; i++) sign("sha256", data, privateKey);
// eslint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.postMessage(((performance.now() - began) * 1000) / COUNT);
