// Follow the inventory ledger: every event once, in order, each checked against the one before it of its aggregate.
//
// npm install && NATS_URL=nats://127.0.0.1:4222 node consumer.mjs    # its place is kept in position.json

import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const file = process.env.POSITION ?? "position.json";
const place = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { sequence: 0, hashes: {} };

const { host, username, password } = new URL(process.env.NATS_URL ?? "nats://127.0.0.1:4222");
const user = username ? { user: username, pass: password } : {};
const inboxPrefix = process.env.NATS_INBOX ?? "_INBOX";
const nc = await connect({ servers: host, ...user, inboxPrefix, maxReconnectAttempts: -1 });
process.once("SIGINT", () => nc.close());

// An ordered consumer keeps nothing on the server, and makes itself anew when a message or the connection is lost.
const start = { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: place.sequence + 1 };
const js = jetstream(nc, { apiPrefix: process.env.NATS_API ?? "$JS.API" });
const consumer = await js.consumers.get("INVENTORY", start);

for await (const message of await consumer.consume()) {
  const event = message.json();
  if (message.seq !== place.sequence + 1) {
    throw new Error(`events ${place.sequence + 1} to ${message.seq - 1} are missing: stop, and ask the operator`);
  }
  if (event.prevhash !== (place.hashes[event.subject] ?? "0".repeat(64))) {
    throw new Error(`event ${message.seq} does not follow what was read of ${event.subject} before it`);
  }
  console.log(message.seq, event.id, event.type, event.subject);
  place.sequence = message.seq;
  place.hashes[event.subject] = createHash("sha256").update(message.data).digest("hex");
  writeFileSync(`${file}.new`, JSON.stringify(place));
  renameSync(`${file}.new`, file);
}
