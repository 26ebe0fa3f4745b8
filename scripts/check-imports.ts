/**
 * Checks the import directions of the architecture: `node scripts/check-imports.ts [root]` prints every import that breaks
 * them, and exits with 1 if there is any.
 */
import { existsSync, globSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"

/** The folders of `packages/server/src`, from the ground up, with the folders that each may import besides itself. */
const mayImport: Readonly<Record<string, ReadonlyArray<string>>> = {
  internal: [],
  metrics: [],
  domain: [],
  ports: ["domain"],
  storage: ["domain", "ports", "adapters", "internal"],
  adapters: ["domain", "ports", "internal"],
  checkpoints: ["domain", "ports"],
  signatures: ["domain", "metrics"],
  rooms: ["internal", "metrics", "domain", "ports"],
  protocols: ["internal", "metrics", "domain", "ports", "signatures", "rooms"],
  webhooks: ["internal", "metrics", "domain", "ports", "rooms", "protocols"],
  edge: ["internal", "metrics", "domain", "ports", "adapters", "signatures", "rooms", "protocols", "webhooks"],
  workers: ["metrics", "ports", "protocols", "edge"],
  admin: ["internal", "metrics", "domain", "ports", "checkpoints", "signatures", "rooms", "protocols", "webhooks"],
  testing: ["domain", "ports", "storage"],
  node: ["domain", "ports", "adapters", "protocols", "webhooks", "edge", "admin"],
  index: ["internal", "metrics", "domain", "ports", "adapters", "signatures", "rooms", "protocols", "webhooks", "edge"]
}
/** Any package other than the server and the CLI is a storage. It may import the server's entries for storages. */
const storageMayImport = ["ports", "storage", "testing"]

/** Pages have the types of the HTTP API and the readings of metrics, and nothing else of the server. */
const pagesMayImport = ["admin", "metrics"]

/** The domain computes: it may use the modules of Effect that make values, and none that runs an Effect. */
const domainPackages = ["libsodium-wrappers", "canonicalize", "node:module"]
const domainEffectModules = [
  "Array",
  "Brand",
  "Formatter",
  "HashMap",
  "Option",
  "Order",
  "Predicate",
  "Record",
  "Result",
  "Schema",
  "Struct"
]

const databaseDriver =
  /^(node:sqlite|better-sqlite3|pg|pg-.*|postgres|@electric-sql\/.*|effect\/sql|@effect\/sql-.*)(\/|$)/

interface Import {
  readonly file: string
  readonly line: number
  readonly specifier: string
  /** The imported names; "*" for all of them. */
  readonly names: ReadonlyArray<string>
  /** The imported file, from the root; undefined for a package from npm. */
  readonly target: string | undefined
}

const main = (root: string): void => {
  const files = globSync("packages/*/src/**/*.{ts,tsx}", { cwd: root }).map((file) => file.replaceAll("\\", "/"))
  const imports = files.flatMap((file) => importsOf(root, file))
  const violations = [...imports.flatMap(violationsOf), ...cyclesIn(imports)]
  for (const { file, line, rule } of violations) console.error(`${file}:${line}: ${rule}`)
  if (files.length === 0) console.error(`No packages in ${root}`)
  process.exitCode = violations.length > 0 || files.length === 0 ? 1 : 0
}

const statement =
  /^[ \t]*(?:import|export)\s+(?:type\s+)?(\*[^'"{}]*?|\w+|(?:\w+\s*,\s*)?\{[^}]*\})\s*from\s+["']([^"']+)["']|^[ \t]*import\s+["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm

const importsOf = (root: string, file: string): ReadonlyArray<Import> => {
  const source = readFileSync(join(root, file), "utf8")
  return [...source.matchAll(statement)].map((match) => {
    const specifier = match[2] ?? match[3] ?? match[4] ?? ""
    const clause = match[1] ?? "*"
    const names = clause.startsWith("{")
      ? clause
          .slice(1, -1)
          .split(",")
          .flatMap((name) => /^(?:\s*type\s)?\s*(\w+)/.exec(name)?.[1] ?? [])
      : ["*"]
    const line = source.slice(0, match.index + match[0].length).split("\n").length
    return { file, line, specifier, names, target: targetOf(root, file, specifier) }
  })
}

const targetOf = (root: string, file: string, specifier: string): string | undefined => {
  if (specifier.startsWith(".")) return posix.join(posix.dirname(file), specifier)
  const [, name, path = "index"] = /^@sealog\/([^/]+)(?:\/(.+))?$/.exec(specifier) ?? []
  if (name === undefined) return undefined
  const target = `packages/${name}/src/${path}`
  return existsSync(join(root, `${target}.ts`)) ? `${target}.ts` : `${target}/index.ts`
}

/** Returns the folder of a server's file, or the package of any other file. A file beside the folders is its own part. */
const partOf = (file: string): string => {
  const [, name = "", inside = ""] = /^packages\/([^/]+)\/(?:src\/)?(.*)$/.exec(file) ?? []
  if (name !== "server") return name
  return (inside.split("/")[0] ?? "").replace(/\.ts$/, "")
}

interface Violation {
  readonly file: string
  readonly line: number
  readonly rule: string
}

const violationsOf = ({ file, line, specifier, names, target }: Import): ReadonlyArray<Violation> => {
  const part = partOf(file)
  const violate = (rule: string) => [{ file, line, rule: `${rule}, but this imports ${specifier}` }]
  if (target !== undefined) {
    const imported = partOf(target)
    if (part === "cli" || imported === part) return []
    const ofOthers = part === "pages" ? pagesMayImport : storageMayImport
    const allowed = file.startsWith("packages/server/") ? mayImport[part] : ofOthers
    if (allowed === undefined) return violate(`${part} is no folder of the server that this check knows`)
    if (allowed.includes(imported)) return []
    return violate(`${part} may import ${["itself", ...allowed].join(", ")}`)
  }
  if (part === "domain") {
    const [name = "", module] = specifier.split("/")
    const modules = module === undefined ? names : [module]
    const isData = name === "effect" && modules.every((module) => domainEffectModules.includes(module))
    if (!isData && !domainPackages.includes(name)) {
      return violate(`domain may import ${domainPackages.join(", ")} and effect's ${domainEffectModules.join(", ")}`)
    }
  }
  if (file.startsWith("packages/server/") && databaseDriver.test(specifier)) {
    return violate("the server knows no database")
  }
  return []
}

/** Finds every import that leads back to a file from which it was reached. */
const cyclesIn = (imports: ReadonlyArray<Import>): ReadonlyArray<Violation> => {
  const importsByFile = Map.groupBy(imports, ({ file }) => file)
  const done = new Set<string>()
  const violations: Array<Violation> = []
  const visit = (file: string, path: ReadonlyArray<string>): void => {
    if (done.has(file)) return
    for (const { line, target } of importsByFile.get(file) ?? []) {
      if (target === undefined) continue
      const start = [...path, file].indexOf(target)
      if (start === -1) visit(target, [...path, file])
      else {
        const cycle = [...path, file].slice(start).concat(target)
        violations.push({ file, line, rule: `files may not import each other in a circle: ${cycle.join(" → ")}` })
      }
    }
    done.add(file)
  }
  for (const file of importsByFile.keys()) visit(file, [])
  return violations
}

main(process.argv[2] ?? join(import.meta.dirname, ".."))
