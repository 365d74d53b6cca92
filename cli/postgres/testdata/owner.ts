// A process that owns an embedded server, for tests that kill it or press Ctrl-C on it. Takes the data folder and the
// grace in seconds; tells the parent the URL; on SIGINT, asks the server something before it stops it.
import { openSession } from "#mesh/postgres/database.ts";
import { startEmbeddedPostgres } from "../embedded.ts";

const [dataDir = "", grace = "0"] = process.argv.slice(2);
const server = await startEmbeddedPostgres({
  dataDir,
  log: () => {},
  unsafeFastForTests: true,
  orphanGraceSeconds: Number(grace),
});

process.on("SIGINT", async () => {
  const session = await openSession(server.adminUrl);
  const [row] = await session.query<{ answer: number }>("select 42 as answer");
  await session.close();
  await server.stop();
  process.send?.({ answer: row?.answer });
  process.disconnect();
});

process.send?.({ adminUrl: server.adminUrl });
