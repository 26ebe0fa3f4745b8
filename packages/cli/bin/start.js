/** Starts the command line with as little as the arguments need. */
// An `import` of these would load all that they can do.
const { existsSync, readFileSync } = process.getBuiltinModule("node:fs")
const { stripVTControlCharacters } = process.getBuiltinModule("node:util")

const args = process.argv.slice(2)
const help = helpFile()

if (args.length === 1 && ["--version", "-v", "version"].includes(args[0])) {
  print(`${userAgent()}\n`)
} else if (help !== undefined) {
  const text = readFileSync(help, "utf8").replace(/\S+ \S+ node-v\S+/, userAgent())
  print(process.stdout.hasColors?.() ? text : stripVTControlCharacters(text))
} else {
  if (args[0] === "help") process.argv.splice(2, process.argv.length, ...args.slice(1), "--help")
  // The user's own folder: a cache that others can write to, such as one in /tmp, could hold their code.
  const { enableCompileCache } = process.getBuiltinModule("node:module")
  const { homedir } = process.getBuiltinModule("node:os")
  const { join } = process.getBuiltinModule("node:path")
  enableCompileCache(join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "sync-admin", "compiled"))
  await import("../bundle/main.js")
}

/** The help that the arguments ask for, if the build has written it and the terminal is wide enough. oclif prints it elsewhere. */
function helpFile() {
  const words = args.filter((arg) => !["--help", "-h"].includes(arg))
  if (words.length === args.length && args.length > 0 && words.shift() !== "help") return undefined
  const columns = process.stdout.columns ?? 80
  const width = [120, 80].find((width) => width <= columns)
  if (width === undefined || process.env["OCLIF_COLUMNS"] || !words.every((word) => /^[a-z]+$/.test(word)))
    return undefined
  const file = new URL(`../bundle/help/${width}/${["sync-admin", ...words].join("-")}.txt`, import.meta.url)
  return existsSync(file) ? file : undefined
}

function userAgent() {
  const { name, version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
  return `${name}/${version} ${process.platform}-${process.arch} node-${process.version}`
}

function print(text) {
  // The reader may have gone.
  process.stdout.on("error", () => {})
  process.stdout.write(text)
}
