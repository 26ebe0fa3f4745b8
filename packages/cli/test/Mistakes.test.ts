/** Mistakes that people make: a command says what to do instead, and a typo leaves nothing behind. */
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect } from "effect"
import { assert, describe, inject, it } from "vitest"
import { makeCluster } from "#test-support/storage/PostgresCluster"
import { databaseOf } from "../src/input/databaseUrl.ts"
import { CliFailure } from "../src/output/CliFailure.ts"
import { number, table } from "../src/output/format.ts"
import { errorOf, freshFolder, jsonOf, run, secret, storeDocument } from "./support.ts"

const withDocument = async (): Promise<string> => {
  const cwd = freshFolder()
  const storage = SqliteStorage.layer({ filename: join(cwd, "data", "sealog.db") })
  await Effect.runPromise(Effect.provide(storeDocument(0), storage))
  return cwd
}

/** Every command that names a library, with one that the log does not hold. */
const WITH_TYPO: ReadonlyArray<ReadonlyArray<string>> = [
  ["suspend", "typo"],
  ["resume", "typo"],
  ["evict", "typo", "--yes"],
  ["evict", "typo", "--suspend", "--yes"],
  ["delete", "typo", "--yes"],
  ["delete", "typo", "--dry-run"],
  ["delete", "typo", "--allow-again"],
  ["prune", "typo", "--yes"],
  ["stats", "--library", "typo"],
  ["library", "quota", "typo"],
  ["library", "quota", "typo", "--objects", "5"],
  ["token", "revoke", "--library", "typo"],
  ["token", "revoke", "--user", "ada", "--library", "typo"],
  ["token", "keys", "forget", "typo", "ada"],
  ["library", "show", "typo"],
  ["document", "create", "typo", "welcome"],
  ["webhook", "add", "https://app.example.org", "--library", "notes", "--library", "typo"],
  ["webhook", "replay", "0a1b2c3d4e5f", "--library", "typo"],
  ["document", "list", "typo"],
  ["document", "show", "typo", "welcome"],
  ["replica", "list", "typo"],
  ["replica", "truant", "typo", "a-replica"],
  ["events", "typo"],
  ["events", "typo", "welcome"],
  ["replay", "--library", "typo"],
  ["replay", "--library", "typo", "--document", "welcome"],
  ["document", "show", "typo", "item/1"],
  ["export", "--library", "typo", "--output", "typo.jsonl"]
]

/** These make a library, need no log, or ask a server: Server.test.ts tries them. */
const WITHOUT_REFUSAL = [
  "import secsync",
  "import verdant",
  "token mint",
  "checkpoint prove",
  "connections",
  "disconnect"
]

describe("a mistyped library", () => {
  it("is tried with every command that names one", () => {
    const surface: Record<string, { readonly args: ReadonlyArray<string>; readonly flags: ReadonlyArray<string> }> =
      JSON.parse(readFileSync(new URL("../command-surface.json", import.meta.url), "utf8"))
    const naming = Object.entries(surface).filter(
      ([, { args, flags }]) => args.includes("libraryId") || flags.some((flag) => flag.startsWith("--library "))
    )
    const tried = WITH_TYPO.map((words) => words.join(" "))
    assert.deepStrictEqual(
      naming.map(([name]) => name).filter((name) => !tried.some((words) => words.startsWith(`${name} `))),
      WITHOUT_REFUSAL.toSorted()
    )
  })

  it("is refused by every command, the same way, and leaves nothing behind", async () => {
    const cwd = await withDocument()
    const before = jsonOf("stats", await run(["stats", "--json"], { cwd }))
    for (const args of WITH_TYPO) {
      const ran = await run([...args, "--json"], { cwd })
      assert.deepStrictEqual(
        [ran.code, errorOf(ran)],
        [
          1,
          {
            code: "NO_SUCH_LIBRARY",
            message: "The log has no library typo.",
            try: "sync-admin library list, with the same --database"
          }
        ],
        args.join(" ")
      )
    }
    assert.deepStrictEqual(jsonOf("stats", await run(["stats", "--json"], { cwd })), before)
  })

  it("is accepted as a new library on request", async () => {
    const cwd = await withDocument()
    const suspended = await run(["suspend", "new", "--new-library", "--json"], { cwd })
    assert.isTrue(jsonOf("suspend", suspended)["changed"])
    const again = await run(["resume", "new", "--json"], { cwd })
    assert.isTrue(jsonOf("resume", again)["changed"])
  })
})

/** Deeds about one document, with one that the library does not hold. */
const WITHOUT_DOCUMENT: ReadonlyArray<ReadonlyArray<string>> = [
  ["evict", "notes", "--document", "typo", "--yes"],
  ["evict", "notes", "--document", "typo", "--dry-run"],
  ["prune", "notes", "--document", "typo", "--yes"],
  ["prune", "notes", "--document", "typo", "--dry-run"],
  ["document", "show", "notes", "typo"],
  ["events", "notes", "typo"],
  ["replay", "--library", "notes", "--document", "typo"],
  ["delete", "notes", "--document", "typo", "--yes"],
  ["delete", "notes", "--document", "typo", "--yes", "--new-library"],
  ["delete", "notes", "--document", "typo", "--dry-run"],
  ["delete", "notes", "--document", "typo", "--allow-again"]
]

describe("a mistyped document", () => {
  it("is refused by every command that changes or shows one", async () => {
    const cwd = await withDocument()
    for (const args of WITHOUT_DOCUMENT) {
      const ran = await run([...args, "--json"], { cwd })
      const { code, try: advice } = errorOf(ran)
      assert.deepStrictEqual(
        [ran.code, code, advice],
        [1, "NO_SUCH_DOCUMENT", "sync-admin document list notes"],
        args.join(" ")
      )
    }
  })

  it("is closed to clients on request, also with a library that is new", async () => {
    const cwd = await withDocument()
    const close = (library: string, ...flags: ReadonlyArray<string>) =>
      run(["delete", library, "--document", "new", ...flags], { cwd })
    const planned = await close("notes", "--new-document", "--dry-run")
    assert.match(planned.stdout, /^Would delete new for good: nothing stored, only its name is closed\.\n$/)
    assert.strictEqual((await close("notes", "--new-document", "--yes")).code, 0)
    assert.strictEqual(errorOf(await close("other", "--new-document", "--yes", "--json")).code, "NO_SUCH_LIBRARY")
    assert.strictEqual((await close("other", "--new-library", "--yes")).code, 0)
    for (const library of ["notes", "other"]) {
      const created = await run(["document", "create", library, "new", "--json"], { cwd })
      assert.strictEqual(errorOf(created).code, "DOCUMENT_DELETED")
    }
  })
})

describe("a stream of the server's own that has no event yet", () => {
  it("is empty, and not a mistake", async () => {
    const cwd = await withDocument()
    for (const names of [["@access"], ["notes", "@library"], ["notes", "@verdant"]]) {
      const ran = await run(["events", ...names], { cwd })
      assert.deepStrictEqual([ran.code, ran.stdout, ran.stderr], [0, "No events.\n", ""], names.join(" "))
      assert.deepStrictEqual(jsonOf("events", await run(["events", ...names, "--json"], { cwd }))["events"], [])
    }
    const ran = await run(["events", "typo", "@library", "--json"], { cwd })
    assert.strictEqual(errorOf(ran).code, "NO_SUCH_LIBRARY")
  })

  it("is followed from its first event on", async () => {
    const cwd = await withDocument()
    const following = run(["events", "notes", "@library", "--follow"], {
      cwd,
      signalAtStdout: { signal: "SIGINT", fits: /LibrarySuspended/ }
    })
    await run(["suspend", "notes"], { cwd })
    const ran = await following
    assert.strictEqual(ran.code, 0, ran.stderr)
  })
})

describe("wrong usage", () => {
  it("is told in one sentence, which names the flag or the argument", async () => {
    const cwd = freshFolder()
    for (const [typed, message] of [
      [["token", "mint", "--library", "notes"], "The flag --user is missing."],
      [["token", "mint", "--user", "ada"], "The command takes exactly one of --admin, --library."],
      [["checkpoint"], "The argument folder is missing: folder of this log's checkpoints."],
      [
        ["document", "show"],
        "The argument libraryId is missing: name of the library.\nThe argument documentId is missing: name of the document, or COLLECTION/ID of a Verdant document."
      ],
      [["serve", "--log-level"], "--log-level takes one of trace, debug, info, warning, error, none."],
      [["serve", "--port", "abc"], "--port takes an integer, not abc."],
      [["serve", "--port", "99999"], "--port takes an integer less than or equal to 65535, not 99999."],
      [["replay", "--since", "./here"], "--since needs --verifier as well."],
      [["evict", "notes", "--suspend", "--document", "a"], "--document and --suspend exclude each other."],
      [["events", "notes", "--document", "a"], "The command has no flag --document."],
      [["suspend", "notes", "other"], "The command takes no argument other."],
      [["-x"], "The command has no flag -x."],
      [["--versoin"], "The command has no flag --versoin."],
      [["suspend", "notes", "--reason"], "--reason takes a value."],
      [
        ["serve", "--log-level", "loud"],
        "--log-level takes one of trace, debug, info, warning, error, none, not loud."
      ],
      [["backup", "list", "./b"], "The command takes no argument ./b."]
    ] as const) {
      const ran = await run([...typed, "--json"], { cwd })
      assert.deepStrictEqual([ran.code, errorOf(ran).code, errorOf(ran).message], [2, "USAGE", message])
    }
  })
})

describe("a mistyped command", () => {
  it("is answered with the nearest one", async () => {
    const cwd = freshFolder()
    for (const [typed, meant] of [
      [["supsend", "notes"], "sync-admin suspend --help"],
      [["librari", "list"], "sync-admin library list --help"],
      [["tpo"], "sync-admin top --help"],
      [["something-else"], "sync-admin --help"],
      [["supsend", "--help"], "sync-admin suspend --help"],
      [["help", "token", "mnt"], "sync-admin token mint --help"]
    ] as const) {
      const ran = await run([...typed, "--json"], { cwd })
      assert.deepStrictEqual([ran.code, errorOf(ran).code, errorOf(ran).try], [2, "USAGE", meant])
    }
  })

  it("help, -h, version and -v do what they do elsewhere", async () => {
    const cwd = freshFolder()
    const told = async (...args: ReadonlyArray<string>) => (await run(args, { cwd })).stdout
    const version = await told("--version")
    assert.match(version, /^@sealog\/cli\/\d+\.\d+\.\d+ \S+ node-v\S+\n$/)
    assert.deepStrictEqual([await told("version"), await told("-v")], [version, version])
    const help = await told("token", "mint", "--help")
    assert.deepStrictEqual([await told("help", "token", "mint"), await told("token", "mint", "-h")], [help, help])
    assert.strictEqual(await told("help"), await told("--help"))
  })
})

describe("the database URL", () => {
  const adviceOn = (url: string): string => {
    try {
      return JSON.stringify(databaseOf(url))
    } catch (error) {
      if (!(error instanceof CliFailure) || error.code !== "DATABASE_URL_INVALID") throw error
      assert.notInclude(error.message + error.tryThis, "hidden")
      return String(error.tryThis)
    }
  }

  it("is read without the line end of a Windows file", () => {
    assert.deepStrictEqual(databaseOf("sqlite:./a.db\r"), { kind: "sqlite", filename: "./a.db" })
    assert.deepStrictEqual(databaseOf(" postgres://a@b/c\r\n"), { kind: "postgres", url: "postgres://a@b/c" })
  })

  it("may begin with three slashes or a tilde", () => {
    assert.deepStrictEqual(databaseOf("sqlite:///var/a.db"), { kind: "sqlite", filename: "/var/a.db" })
    assert.match(adviceOn("sqlite:~/a.db"), /"filename":"\/[^~]+\/a\.db"/)
  })

  it("with two meanings, says how to write each", () => {
    assert.strictEqual(
      adviceOn("sqlite://data/a.db"),
      "sqlite:./data/a.db below the current directory, or sqlite:/data/a.db"
    )
    assert.strictEqual(adviceOn("sqlite://./data/a.db"), adviceOn("sqlite://data/a.db"))
    assert.include(adviceOn('"sqlite:a.db"'), "without quotes")
    assert.strictEqual(adviceOn("~/data/a.db"), "--database sqlite:~/data/a.db")
    for (const password of ["hid/den", "hid#den", "hid?den", "hid%zen", "hid@den", "1/hidden"]) {
      assert.include(adviceOn(`postgres://ada:${password}@localhost:5432/sealog`), "%25", password)
    }
    assert.include(adviceOn("postgres://ada:hidden@one,two/sealog"), "the one host that accepts writes")
    assert.include(adviceOn("postgres://ada:hidden@[/sealog"), "PGPASSWORD")
    assert.include(adviceOn("mysql://hidden"), "sqlite:./data/sealog.db")
  })

  it("without a password takes that of PGPASSWORD", () => {
    const passwordIn = (url: string): string | null => {
      const database = databaseOf(url, { PGPASSWORD: "p/#%?@ w" })
      return database.kind === "postgres" ? new URL(database.url).searchParams.get("password") : null
    }
    assert.strictEqual(passwordIn("postgres://ada@localhost/sealog?sslmode=require"), "p/#%?@ w")
    assert.strictEqual(passwordIn("postgres:///sealog?host=/run/postgresql"), "p/#%?@ w")
    assert.isNull(passwordIn("postgres://ada:own@localhost/sealog"))
    assert.strictEqual(passwordIn("postgres://localhost/sealog?password=own"), "own")
  })

  it("without a user says where to name one", async () => {
    const env = { DATABASE_URL: "postgres://localhost/sealog", USER: undefined }
    const ran = await run(["library", "list", "--json"], { cwd: freshFolder(), env })
    assert.include(errorOf(ran).try, "postgres://USER@HOST")
  })

  it("keeps what was right before", () => {
    for (const url of [
      "postgres://localhost/sealog",
      "postgresql://ada:p%2Fw@[::1]:5432/sealog?sslmode=require",
      "postgres:///sealog?host=/run/postgresql"
    ]) {
      assert.deepStrictEqual(databaseOf(url), { kind: "postgres", url })
    }
  })
})

describe("a secret", () => {
  it("in quotes is used as it is, and said", async () => {
    const cwd = freshFolder()
    const ran = await run(["token", "mint", "--library", "notes", "--user", "ada"], {
      cwd,
      env: { TOKEN_SECRET: `"${secret}"\r` }
    })
    assert.strictEqual(ran.code, 0)
    assert.include(ran.stderr, "TOKEN_SECRET has quotes around it")
    assert.notInclude(ran.stderr, secret)
  })

  it("of serve --dev signs and inspects tokens where none is set", async () => {
    const cwd = freshFolder()
    mkdirSync(join(cwd, "data"))
    writeFileSync(join(cwd, "data", "dev-secret"), "0".repeat(64))
    const env = { TOKEN_SECRET: undefined }
    const minted = await run(["token", "mint", "--library", "playground", "--user", "ada"], { cwd, env })
    assert.strictEqual(minted.code, 0, minted.stderr)
    assert.include(minted.stderr, "./data/dev-secret")
    const inspected = await run(["token", "inspect", "--json"], { cwd, env, stdin: minted.stdout })
    assert.isTrue(jsonOf("token-inspect", inspected)["valid"])
    assert.strictEqual(readFileSync(join(cwd, "data", "dev-secret"), "utf8"), "0".repeat(64))
  })
})

describe("a table", () => {
  const rows = [["a-library-with-a-long-name-of-many-letters", 1_000_000, "12 kB"]]
  const lineIn = (columns: number | undefined): string => {
    const { isTTY, columns: before } = process.stdout
    Object.assign(process.stdout, { isTTY: columns !== undefined, columns })
    try {
      return table(["LIBRARY", "EVENTS", "SIZE"], rows).split("\n")[1] ?? ""
    } finally {
      Object.assign(process.stdout, { isTTY, columns: before })
    }
  }

  it("fits the width of its terminal, and is whole in a pipe", () => {
    assert.strictEqual(lineIn(40), "a-library-with-a-long…  1,000,000  12 kB")
    assert.include(lineIn(undefined), "of-many-letters  1,000,000  12 kB")
    assert.include(lineIn(200), "of-many-letters  1,000,000  12 kB")
  })
})

describe("a number", () => {
  it("has commas as in English text", () => {
    for (const value of [0, 999, 1000, 1_234_567, -12_345, 0.5, 1234.5, 1_234.567_89, 100_000_000])
      assert.strictEqual(number(value), value.toLocaleString("en"))
  })
})

describe("a name that a shell would act on", () => {
  it("is one word of the command that an error advises", async () => {
    const cwd = freshFolder()
    const [library, document] = ["it's;notes", '$(id) `id` a"b']
    await run(["migrate"], { cwd })
    await run(["document", "create", library, document, "--new-library"], { cwd })
    await run(["delete", library, "--document", document, "--yes"], { cwd })
    const refused = await run(["document", "create", library, document, "--json"], { cwd })
    const advice = String(JSON.parse(refused.stdout).error.try)
    const words = spawnSync("sh", ["-c", `printf '%s\\n' ${advice}`])
    assert.strictEqual(
      words.stdout.toString(),
      `sync-admin\ndelete\n${library}\n--document\n${document}\n--allow-again\n`
    )
    const unknown = await run(["document", "show", library, "none", "--json"], { cwd })
    assert.strictEqual(JSON.parse(unknown.stdout).error.try, `sync-admin document list 'it'\\''s;notes'`)
  })
})

describe("advice", () => {
  it("names no command that finds nothing in a database in memory", async () => {
    const cwd = freshFolder()
    for (const command of [
      "library list",
      "document create notes plans --new-library",
      "migrate",
      "migrate --status"
    ]) {
      const ran = await run([...command.split(" "), "--database", "sqlite::memory:", "--json"], { cwd })
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [2, "DATABASE_IN_MEMORY"], command)
    }
    const doctor = await run(["doctor", "--database", "sqlite::memory:"], { cwd })
    assert.match(doctor.stdout, /FAIL database +A database in memory/)
    assert.notInclude(doctor.stdout, "migrate")
  })

  it("is about the signature for a token without a secret, and about the file for a key that is not there", async () => {
    const cwd = freshFolder()
    const minted = await run(["token", "mint", "--library", "notes", "--user", "ada"], {
      cwd,
      env: { TOKEN_SECRET: "" }
    })
    assert.match(minted.stderr, /NO_TOKEN_SECRET.*\nTry: .*--sign-with/)
    assert.notInclude(minted.stderr, "TOKEN_JWKS")
    const keys = await run(["token", "keys", "jwks", "missing.json"], { cwd })
    assert.match(keys.stderr, /^Error: missing\.json cannot be read: .*\nTry: a file that this user can read\n$/)
  })

  it("after a wrong password, or without one, is about the password, and shows none", async () => {
    const cluster = await makeCluster()
    try {
      const cwd = freshFolder()
      cluster.stop("fast")
      writeFileSync(join(cluster.folder, "data", "pg_hba.conf"), "host all all 127.0.0.1/32 scram-sha-256\n")
      cluster.start()
      const { host } = new URL(cluster.url)
      for (const [user, env] of [
        ["postgres:wrong-one", {}],
        ["postgres", {}],
        ["postgres", { PGPASSWORD: "wrong-one" }]
      ] as const) {
        const DATABASE_URL = `postgres://${user}@${host}/postgres`
        for (const command of [["library", "list"], ["migrate"], ["doctor"], ["serve", "--port", "0"]]) {
          const ran = await run(command, { cwd, env: { ...env, DATABASE_URL, TOKEN_SECRET: secret } })
          assert.strictEqual(ran.code, command[0] === "doctor" ? 1 : 3, ran.stderr)
          assert.match(ran.stdout + ran.stderr, /Try: +.*the user and password.*PGPASSWORD/, command.join(" "))
          assert.notInclude(ran.stdout + ran.stderr, "wrong-one")
        }
      }
    } finally {
      cluster.remove()
    }
  })

  it("says where the database and the password of a Postgres come from", async () => {
    const url = new URL(inject("postgresUrl"))
    url.pathname = "/not-there"
    const database = await run(["library", "list", "--database", url.href], { cwd: freshFolder() })
    assert.match(database.stderr, /does not exist.*\nTry: check the name/)
    url.username = "nobody-there"
    const user = await run(["library", "list", "--database", url.href], { cwd: freshFolder() })
    assert.match(user.stderr, /does not exist.*\nTry: the user and password/)
  })
})
