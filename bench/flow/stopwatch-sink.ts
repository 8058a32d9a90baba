/**
 * A sink that tells its parent when it saw the envelope of certain recipients (those that begin with `latency.`): the end of the
 * stretch the latency bench measures. Everything else it only counts. Run as a child process with an IPC channel.
 */
import { createServer } from "node:net";

const PREFIX = "RCPT TO:<latency.";

const server = createServer((socket) => {
  socket.setNoDelay(true);
  let held = "";
  let body = false;
  socket.write("220 sink.example ESMTP\r\n");
  socket.on("error", () => socket.destroy());
  socket.on("data", (data: Buffer) => {
    const now = performance.timeOrigin + performance.now();
    held += data.toString("latin1");
    let answer = "";
    for (;;) {
      if (body) {
        const end = held.indexOf("\r\n.\r\n");
        if (end < 0) {
          held = held.slice(-4);
          break;
        }
        held = held.slice(end + 5);
        body = false;
        answer += "250 2.0.0 taken\r\n";
        continue;
      }
      const end = held.indexOf("\r\n");
      if (end < 0) break;
      const line = held.slice(0, end);
      held = held.slice(end + 2);
      if (line.startsWith(PREFIX))
        process.send?.({ address: line.slice("RCPT TO:<".length, line.indexOf(">")), at: now });
      if (line.startsWith("EHLO")) answer += "250-sink.example\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n";
      else if (line === "DATA") {
        body = true;
        answer += "354 go\r\n";
        // The blank line of the search above must be found even for an empty body.
        held = `\r\n${held}`;
      } else if (line === "QUIT") {
        socket.end(`${answer}221 bye\r\n`);
        return;
      } else answer += "250 2.1.0 ok\r\n";
    }
    if (answer !== "") socket.write(answer);
  });
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.send?.({ port: address !== null && typeof address === "object" ? address.port : 0 });
});
process.on("disconnect", () => process.exit(0));
