import type { MigrationFile } from "./migration-files.ts";

/**
 * The tables that the mesh keeps in every service's database. As text rather than as files: this code is bundled into
 * each service, where `import.meta.url` no longer points here. The same rules hold as for files: never change one that
 * was released, add another.
 */
export const ownMigrations: readonly MigrationFile[] = [
  {
    name: "0001_once_requests.sql",
    text: `
      -- Answers given under a caller-made request_id, so that a repeated request gets the same answer; see once().
      create table once_requests (
        method text not null,
        principal text not null,
        request_id text not null,
        request_sha256 bytea not null,
        response bytea not null,
        create_time timestamptz not null,
        primary key (method, principal, request_id)
      );
      create index once_requests_create_time on once_requests (create_time);
    `,
  },
  {
    name: "0002_sealing_key.sql",
    text: `
      -- The key of sealed values, made when it is first asked for; see sealingKey(). One row.
      create table sealing_key (
        one boolean primary key default true check (one),
        key bytea not null check (length(key) = 32)
      );
    `,
  },
  {
    name: "0003_erased_records.sql",
    text: `
      -- How much of a person was erased where under one request; see erasePersonalData(). An id, and nothing personal.
      create table erased_records (
        request_id text not null,
        place text not null,
        customer_id text not null,
        erased_count bigint not null default 0,
        primary key (request_id, place)
      );
    `,
  },
  {
    name: "0004_once_subject.sql",
    text: `
      -- Of whom an answer tells something personal, when that is not who asked; see OnceTransaction.about.
      alter table once_requests add column subject text;
      create index once_requests_subject on once_requests (subject) where subject is not null;
    `,
  },
];
