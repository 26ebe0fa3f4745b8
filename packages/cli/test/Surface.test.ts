/** Holds the commands, flags and arguments that scripts use: a change must also change command-surface.json. */
import { readFileSync } from "node:fs"
import { assert, it } from "vitest"

interface Manifest {
  readonly commands: Record<
    string,
    {
      readonly flags: Record<
        string,
        { readonly type: string; readonly required?: boolean; readonly options?: ReadonlyArray<string> }
      >
      readonly args: Record<string, { readonly required?: boolean }>
    }
  >
}

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), "utf8"))

it("the built commands match command-surface.json", () => {
  const { commands } = read("oclif.manifest.json") as Manifest
  const surface = Object.fromEntries(
    Object.entries(commands)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([id, { flags, args }]) => [
        id.replaceAll(":", " "),
        {
          args: Object.entries(args).map(([name, { required }]) => (required === true ? name : `[${name}]`)),
          flags: Object.entries(flags)
            .sort(([a], [b]) => a.localeCompare(b))
            .map(([name, { type, required, options }]) =>
              [`--${name}`, type, ...(required === true ? ["required"] : []), ...(options ?? [])].join(" ")
            )
        }
      ])
  )
  assert.deepStrictEqual(surface, read("command-surface.json"))
})
