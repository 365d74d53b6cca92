/** What `shopmesh help` says. */
export const usage = `usage: shopmesh <command> [options]

commands
  up                        start the shop and stay with it until Ctrl-C
  status [--json]           what runs: health, process, port, uptime, memory; exits with 1 unless all is well
  import <file>             bring a catalogue into the running shop (as sample/catalogue.json)
  reconcile [--json]        compare the books with the payment gateway's; exits with 1 unless they agree
  admin grant <who> <role>  give a customer (e-mail address or id) a role: admin, support, warehouse, courier
  help                      this text
  version                   the version

options
  --port <port>             the public port, on 127.0.0.1 [SHOPMESH_PORT, 8080]
  --data <folder>           where everything is kept [SHOPMESH_DATA, .shopmesh]
  --log-level <level>       what services log: trace, debug, info, warn, error, fatal [SHOPMESH_LOG_LEVEL, info]
  --instances <s=n,…>       how many processes of which services to run, as orders=2,payments=2; of all others one
                            [SHOPMESH_INSTANCES]
  --verbose                 show every log line, not only warnings and errors; so do the levels trace and debug

environment
  SHOPMESH_POSTGRES_URL     a PostgreSQL (15 or later) to use instead of starting one, as its administrator:
                            postgres://user:password@host:5432/postgres
  SHOPMESH_POSTGRES_PREFIX  what the names of its databases and roles begin with [shopmesh]
  NO_COLOR, FORCE_COLOR     never, or always, write in colour

exit codes: 0 done, 1 it could not be done, 2 it was asked wrongly, 130 interrupted before the shop was ready
`;
