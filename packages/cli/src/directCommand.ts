/** Finds a command without oclif's search for plugins, topics, themes and hooks, which takes as long as bare Node. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { Command } from "@oclif/core/command"
import { Config } from "@oclif/core/config"
import type { Hook } from "@oclif/core/hooks"
import type { BaseCommand } from "./BaseCommand.ts"

/**
 * The command that the arguments name. undefined if oclif has to look at them: for help, for a plugin, for a command that does
 * not exist, and for debugging. `root` is the folder of the package.
 */
export const directCommand = async (
  root: string,
  args: ReadonlyArray<string>
): Promise<BaseCommand<unknown> | undefined> => {
  if (args.includes("--help") || args.includes("-h")) return undefined
  if (process.env["DEBUG"] || process.env["SYNC_ADMIN_DEBUG"]) return undefined
  const end = args.findIndex((arg) => !/^[a-z]+$/.test(arg))
  const words = end === -1 ? args : args.slice(0, end)
  for (let length = words.length; length > 0; length--) {
    const path = words.slice(0, length)
    const file = join(root, "bundle/commands", `${path.join("/")}.js`)
    if (!existsSync(file)) continue
    const { default: Found }: { readonly default: CommandClass } = await import(pathToFileURL(file).href)
    // oclif takes a word behind the command for a part of its name, unless the command takes arguments.
    if (!/^-|=/.test(args[length] ?? "-") && Object.keys(Found.args).length === 0) return undefined
    Found.id = path.join(":")
    return new Found(args.slice(length), new BuiltConfig(root))
  }
  return undefined
}

interface CommandClass {
  new (argv: ReadonlyArray<string>, config: Config): BaseCommand<unknown>
  id: string
  readonly args: object
}

/** The part of oclif's configuration that commands read. */
class BuiltConfig extends Config {
  constructor(root: string) {
    super({ root })
    this.root = root
    this.bin = "sync-admin"
  }

  /** A command as the build described it. */
  override findCommand(id: string): Command.Loadable {
    return JSON.parse(readFileSync(join(this.root, "oclif.manifest.json"), "utf8")).commands[id]
  }

  /** There are no hooks around a command. */
  override async runHook(): Promise<Hook.Result<never>> {
    return { failures: [], successes: [] }
  }
}
