import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { answeringSockets } from "../../src/db/answering.ts";
import { until } from "../support/until.ts";

const ANSWER_MS = 150;
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

let answer: (socket: Socket, bytes: Buffer) => void = () => {};
const heard: Buffer[] = [];
const server = createServer((socket) => {
  socket.on("error", () => socket.destroy());
  socket.on("data", (bytes: Buffer) => {
    heard.push(bytes);
    answer(socket, bytes);
  });
});
beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterAll(() => void server.close());

function open(): { socket: Socket; errors: unknown[] } {
  const { port } = server.address() as AddressInfo;
  const socket = answeringSockets(ANSWER_MS)({ host: ["127.0.0.1"], port: [port] });
  onTestFinished(() => void socket.destroy());
  const errors: unknown[] = [];
  socket.on("error", (error) => errors.push(error));
  socket.resume();
  return { socket, errors };
}

/** Several times the patience, told by the clock that the socket itself goes by. */
const longer = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, ANSWER_MS * 3));

test("silence behind a question ends the connection with a reason", async () => {
  answer = () => {};
  const { socket, errors } = open();
  socket.write("what?");
  await until(() => socket.closed, { what: "the connection to end" });
  expect(errors).toMatchObject([{ code: "ETIMEDOUT", message: "no answer in 0.15 s" }]);
});

test("an answer that stops in the middle is silence too", async () => {
  answer = (socket) => void socket.write(Buffer.from([0x44, 0, 0, 1, 0, 0, 1]));
  const { socket } = open();
  socket.write("what?");
  await until(() => socket.closed, { what: "the connection to end" });
});

test("who is asked nothing may be silent: before a question, behind an answer, and behind a notification", async () => {
  answer = (socket) => void socket.write(READY);
  const { socket, errors } = open();
  await longer();
  heard.length = 0;
  socket.write("what?");
  await until(() => heard.length > 0);
  await longer();
  answer = (peer) => void peer.write(Buffer.concat([Buffer.from([0x41, 0, 0, 0, 9]), Buffer.from("news"), READY]));
  socket.write("and now?");
  await longer();
  expect(errors).toEqual([]);
  expect(socket.destroyed).toBe(false);
});

test("it does not cut what the driver has taken over for TLS", async () => {
  answer = (socket) => void socket.write("S");
  const { socket } = open();
  socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
  await once(socket, "data");
  socket.removeAllListeners();
  await longer();
  expect(socket.destroyed).toBe(false);
});

test("a pool goes through its hosts in turn", async () => {
  const { port } = server.address() as AddressInfo;
  const sockets = answeringSockets(ANSWER_MS);
  const place = { host: ["127.0.0.2", "127.0.0.1"], port: [1, port] };
  const first = sockets(place);
  const [error] = (await once(first, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("ECONNREFUSED");
  const second = sockets(place);
  await once(second, "connect");
  second.destroy();
});
