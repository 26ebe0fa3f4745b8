/**
 * Publishes the packages, at the versions that `pnpm version -r` gave them: `pnpm release`. With `--dry-run` it prints what it
 * would publish.
 */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"

interface Published {
  readonly id: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: ReadonlyArray<{ readonly path: string }>
}

const { packageManager } = JSON.parse(readFileSync("package.json", "utf8"))
const pnpm = (...args: ReadonlyArray<string>) => ["-y", packageManager, ...args]

/** The places of a package's files, and the number of files in each. */
const placesOf = (files: Published["files"]): string => {
  const places = Map.groupBy(files, ({ path }) => (path.includes("/") ? `${path.split("/")[0]}/` : path))
  return Array.from(places, ([place, held]) => (place.endsWith("/") ? `${place} ${held.length}` : place)).join(", ")
}

/** Fails if the packages name another repository as their own: a registry would show a stranger's. */
const checkRepository = (): void => {
  const { repository } = JSON.parse(readFileSync("packages/server/package.json", "utf8"))
  const origin = execFileSync("git", ["remote", "get-url", "origin"], { encoding: "utf8" }).trim()
  const nameOf = (url: string) =>
    url
      .replace(/\.git$/, "")
      .split(/[/:]/)
      .slice(-3)
      .join("/")
      .replace(/^.*@/, "")
  if (nameOf(origin) === nameOf(repository.url)) return
  throw new Error(
    `The packages say ${repository.url}, and this clone comes from ${origin}. Change "repository" in them.`
  )
}

if (process.argv.includes("--dry-run")) {
  const output = execFileSync("npx", pnpm("-r", "publish", "--dry-run", "--no-git-checks", "--json"), {
    encoding: "utf8",
    maxBuffer: 2 ** 26
  })
  const packages: ReadonlyArray<Published> = JSON.parse(output)
  for (const { files, id, size, unpackedSize } of packages) {
    console.log(
      `${id}  ${Math.ceil(size / 1000)} kB, unpacked ${Math.ceil(unpackedSize / 1000)} kB\n  ${placesOf(files)}`
    )
  }
} else {
  checkRepository()
  execFileSync("npx", pnpm("-r", "publish"), { stdio: "inherit" })
}
