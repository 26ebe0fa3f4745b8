/**
 * OpenStack Swift with its S3 API, from Debian packages: an independent object store that is used in production. It runs one
 * server of each kind, with one replica of all data.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir, userInfo } from "node:os"
import { join } from "node:path"
import { Effect, Redacted } from "effect"
import { freePort } from "../support/network/freePort.ts"
import { runProgram } from "./Binary.ts"

const KINDS = ["account", "container", "object"] as const
const [ACCOUNT, USER, SECRET] = ["test", "tester", "testing"]

/** Swift's default is 1,000, like S3's. */
export const LISTED_AT_A_TIME = 20

export const startSwift = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "sealog-swift-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
  )
  const [account, container, object, proxy] = yield* Effect.promise(() =>
    Promise.all([freePort(), freePort(), freePort(), freePort()])
  )
  const ports = { account, container, object, proxy } as const
  const devices = join(directory, "devices")
  mkdirSync(join(devices, "d1"), { recursive: true })

  const write = (name: string, sections: Readonly<Record<string, Readonly<Record<string, string | number>>>>) => {
    const lines = Object.entries(sections).flatMap(([section, settings]) => [
      `[${section}]`,
      ...Object.entries(settings).map(([key, value]) => `${key} = ${value}`)
    ])
    writeFileSync(join(directory, name), `${lines.join("\n")}\n`)
  }
  const process = { bind_ip: "127.0.0.1", workers: 0, user: userInfo().username, swift_dir: directory }
  write("swift.conf", {
    "swift-hash": { swift_hash_path_suffix: "suffix", swift_hash_path_prefix: "prefix" },
    "storage-policy:0": { name: "only", default: "yes" }
  })
  for (const kind of KINDS) {
    write(`${kind}.conf`, {
      DEFAULT: { ...process, bind_port: ports[kind], devices, mount_check: "false", fallocate_reserve: 0 },
      "pipeline:main": { pipeline: `${kind}-server` },
      [`app:${kind}-server`]: { use: `egg:swift#${kind}` }
    })
  }
  write("proxy.conf", {
    DEFAULT: { ...process, bind_port: proxy },
    "pipeline:main": { pipeline: "catch_errors gatekeeper cache s3api tempauth slo proxy-server" },
    "filter:catch_errors": { use: "egg:swift#catch_errors" },
    "filter:gatekeeper": { use: "egg:swift#gatekeeper" },
    // Swift requires a cache in the configuration, but works without a reachable one.
    "filter:cache": { use: "egg:swift#memcache", memcache_servers: "127.0.0.1:1" },
    "filter:s3api": { use: "egg:swift#s3api", max_bucket_listing: LISTED_AT_A_TIME },
    "filter:tempauth": { use: "egg:swift#tempauth", [`user_${ACCOUNT}_${USER}`]: `${SECRET} .admin` },
    "filter:slo": { use: "egg:swift#slo" },
    "app:proxy-server": { use: "egg:swift#proxy", account_autocreate: "true" }
  })
  execFileSync("/usr/bin/python3", ["-c", RINGS, directory, ...KINDS.map((kind) => `${kind}:${ports[kind]}`)])
  yield* Effect.forEach(
    [...KINDS, "proxy"] as const,
    (kind) => runProgram(`swift-${kind}-server`, [join(directory, `${kind}.conf`)], ports[kind]),
    { concurrency: "unbounded" }
  )
  return {
    endpoint: `http://127.0.0.1:${proxy}`,
    accessKeyId: Redacted.make(`${ACCOUNT}:${USER}`),
    secretAccessKey: Redacted.make(SECRET)
  }
})

/** Writes the rings, which map all data to the one device. swift-ring-builder would need nine runs for that. */
const RINGS = `
import sys
from array import array
from swift.common.ring import RingData
directory, *servers = sys.argv[1:]
for server in servers:
    kind, port = server.split(":")
    device = dict(id=0, region=1, zone=1, ip="127.0.0.1", port=int(port), device="d1", weight=1.0, meta="",
                  replication_ip="127.0.0.1", replication_port=int(port))
    RingData([array("H", [0, 0])], [device], 31).save(f"{directory}/{kind}.ring.gz")
`
