/** What `shopmesh help` says. */
export const usage = `usage: shopmesh <command> [options]

the shop
  up                            start the shop and stay with it until Ctrl-C
  status [--json] [--watch]     what runs: state, version, uptime, memory, calls, traffic rules, certificate authorities;
                                exits with 1 unless all is well; --watch looks every second
  logs [name …]                 what services or processes logged, merged by time; needs no shop that runs
     --follow, -f               go on as more is logged, until Ctrl-C
     --level <level>            of that level and above
     --lines, -n <n>            so many of the last lines [100]

changes, without a failed call
  scale <service>=<n> …         run so many instances, 1 to 8
  restart <name>                restart a service, one instance after the other, or one process
  rollout <service>             bring in what has been changed since, instance by instance; it goes back by itself when a
                                new one fails, and exits with 1 then
     --from <folder>            the dist folder of a checkout to take it from [the one that \`up\` was started from]
     --version <version>        a version that was here before, or a name for the new one [the hash of its program]
  canary <service>              run one instance of another version beside the others; --from, --version as above
     --percent <n>              its share of the calls
     --header <x-name>=<value>  calls with this header go to it, whatever the share; can be repeated
  canary <service> --promote    bring that version in everywhere
  canary <service> --end        end it

traffic
  rules                         the rules in force
  split <service> <v>=<n> …     split calls between versions, in per cent
     --header <x-n>=<val>:<v>   calls with this header go to that version; can be repeated
     --for <span>               ends by itself after 30s, 5m, 1h, 2d [never]
  split <service> --clear       all instances take turns again
  fault <service>               make calls to a service fail, or leave late, where they are made
     --delay <span>             leave so much later: 200ms
     --status <code>            fail with it: UNAVAILABLE
     --percent <n>              of so many calls [100]
     --caller <service>         of calls by that service alone; can be repeated
     --method <method>          of calls of that method alone: GetCart; can be repeated
     --for <span>               ends by itself
  fault --clear <id> | --all    end one fault, or all

certificates and keys
  rotate-authority              change to another certificate authority; nothing restarts
  rotate-signing-key            change to another key that people's tokens are signed with; nobody signs in again
  join-key <service>            print the secret key with which processes of a service join that \`up\` does not start

goods and books
  import <file>                 bring a catalogue into the running shop (as sample/catalogue.json)
  reconcile [--json]            compare the books with the payment gateway's; exits with 1 unless they agree
  admin grant <who> <role>      give a customer (e-mail address or id) a role: admin, support, warehouse, courier

  help, version                 this text; the version

options of all commands
  --data <folder>               where everything is kept [SHOPMESH_DATA, .shopmesh]

options of up
  --port <port>                 the public port, on 127.0.0.1 [SHOPMESH_PORT, 8080]
  --log-level <level>           what services log: trace, debug, info, warn, error, fatal [SHOPMESH_LOG_LEVEL, info]
  --instances <s=n,…>           how many instances of which services to start with, as orders=2,payments=2; of all
                                others one [SHOPMESH_INSTANCES]
  --verbose                     show every log line, not only warnings and errors; so do the levels trace and debug

environment
  SHOPMESH_POSTGRES_URL         a PostgreSQL (15 or later) to use instead of starting one, as its administrator:
                                postgres://user:password@host:5432/postgres
  SHOPMESH_POSTGRES_PREFIX      what the names of its databases and roles begin with [shopmesh]
  NO_COLOR, FORCE_COLOR         never, or always, write in colour

exit codes: 0 done, 1 it could not be done, 2 it was asked wrongly, 130 interrupted
`;
