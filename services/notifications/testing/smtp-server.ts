import { EventEmitter, once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** What a server says to a command; or that it says nothing, or hangs up. */
export type Say = string | "silence" | "hang up";

/** A moment of a session at which a server may misbehave. */
export type Moment = "greeting" | "EHLO" | "MAIL FROM" | "RCPT TO" | "DATA" | "inside DATA" | "end of DATA";

/** What it says at a moment; as a good server does, where undefined. */
export type Manners = (moment: Moment, session: { readonly to: string }) => Say | undefined;

/** A mail whose end has come, whether or not that was answered. */
export interface TakenMail {
  readonly to: string;
  readonly raw: string;
  readonly messageId: string;
}

/** A mail server that does as it is told, for tests: sessions byte by byte, on a real socket. */
export interface MisbehavingServer {
  readonly port: number;
  readonly taken: readonly TakenMail[];
  /** Commands and ends of mails that came, as moments. */
  readonly seen: readonly Moment[];
  behave(manners: Manners): void;
  /** Resolves when a moment has come so often. */
  reached(moment: Moment, times?: number): Promise<void>;
  /** The most connections that were open at once. */
  mostConnections(): number;
  openConnections(): number;
  close(): Promise<void>;
}

const GOOD: Readonly<Record<Moment, string>> = {
  greeting: "220 mail.test ESMTP",
  EHLO: "250-mail.test\r\n250-PIPELINING\r\n250 SIZE 1048576",
  "MAIL FROM": "250 2.1.0 ok",
  "RCPT TO": "250 2.1.5 ok",
  DATA: "354 go ahead",
  "inside DATA": "",
  "end of DATA": "250 2.0.0 taken",
};
const END_OF_DATA = "\r\n.\r\n";

/** Starts it, on any free port unless told otherwise. */
export async function startMisbehavingServer(port = 0): Promise<MisbehavingServer> {
  let manners: Manners = () => undefined;
  let most = 0;
  const taken: TakenMail[] = [];
  const seen: Moment[] = [];
  const sockets = new Set<Socket>();
  const changes = new EventEmitter().setMaxListeners(100);
  const server = createServer((socket) => {
    sockets.add(socket);
    most = Math.max(most, sockets.size);
    socket.on("close", () => sockets.delete(socket)).on("error", () => {});
    serve(socket, {
      say(moment, to) {
        seen.push(moment);
        const say = manners(moment, { to }) ?? GOOD[moment];
        changes.emit("moment");
        return say;
      },
      take: (mail) => taken.push(mail),
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on TCP has an address of this form.
  const address = server.address() as AddressInfo;
  return {
    port: address.port,
    taken,
    seen,
    behave: (next) => {
      manners = next;
    },
    async reached(moment, times = 1) {
      while (seen.filter((one) => one === moment).length < times) await once(changes, "moment");
    },
    mostConnections: () => most,
    openConnections: () => sockets.size,
    async close() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

interface Host {
  say(moment: Moment, to: string): Say;
  take(mail: TakenMail): void;
}

/** One session: commands, which may come before the answer to the one before, and mails. */
function serve(socket: Socket, host: Host): void {
  let to = "";
  let text = "";
  let inData = false;
  let wanted = false;

  const come = (moment: Moment): boolean => {
    const say = host.say(moment, to);
    if (say === "hang up") socket.destroy();
    else if (say !== "silence" && say !== "") socket.write(`${say}\r\n`);
    return !/^[45]|^silence$|^hang up$/.test(say);
  };
  const upTo = (end: string): string | undefined => {
    const at = text.indexOf(end);
    if (at < 0) return undefined;
    const before = text.slice(0, at);
    text = text.slice(at + end.length);
    return before;
  };
  const readMail = (): boolean => {
    const raw = upTo(END_OF_DATA);
    if (raw === undefined) return false;
    inData = false;
    host.take({ to, raw, messageId: /^message-id: <(.*)>$/im.exec(raw)?.[1] ?? "" });
    come("end of DATA");
    return true;
  };
  const readCommand = (): boolean => {
    const line = upTo("\r\n");
    if (line === undefined) return false;
    if (line.startsWith("EHLO")) come("EHLO");
    else if (line.startsWith("MAIL FROM")) wanted = come("MAIL FROM");
    else if (line.startsWith("RCPT TO")) {
      to = /<(.*)>/.exec(line)?.[1] ?? "";
      wanted = come("RCPT TO") && wanted;
    } else if (line === "DATA" && !wanted) socket.write("554 5.5.1 nobody to take it to\r\n");
    else if (line === "DATA") inData = come("DATA") && come("inside DATA");
    else if (line === "QUIT") socket.end("221 bye\r\n");
    else socket.write("250 ok\r\n");
    return true;
  };
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    while (!socket.destroyed && (inData ? readMail() : readCommand()));
  });
  come("greeting");
}
