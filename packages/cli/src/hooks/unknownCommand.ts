/** Reports an unknown command like any other error: with a code, advice, and as JSON after `--json`. */
import type { Hook } from "@oclif/core/hooks"
import { CliFailure } from "../output/CliFailure.ts"
import { escapeControls, jsonText } from "../output/format.ts"
import { nearest } from "../output/nearest.ts"

const unknownCommand: Hook.CommandNotFound = async ({ config, id, argv = [] }) => {
  const meant = meantBy(id, [...config.commandIDs, ...config.topics.map(({ name }) => name)])
  // oclif takes the argument of a command without arguments for a part of its name.
  const isArgument = meant !== undefined && id.startsWith(`${meant}:`) && config.commandIDs.includes(meant)
  const failure = new CliFailure({
    code: "USAGE",
    message: id.startsWith("-")
      ? `The command has no flag ${id}.`
      : isArgument
        ? `The command takes no argument ${id.slice(meant.length + 1).replaceAll(":", " ")}.`
        : `There is no command ${id.replaceAll(":", " ")}.`,
    exitCode: 2,
    tryThis: meant === undefined ? "sync-admin --help" : `sync-admin ${meant.replaceAll(":", " ")} --help`
  })
  process.exitCode = failure.exitCode
  if (argv.includes("--json")) process.stdout.write(`${jsonText(failure)}\n`)
  else process.stderr.write(escapeControls(failure.toText()))
}

/** oclif takes the arguments behind an unknown command for parts of its name. */
const meantBy = (id: string, known: ReadonlyArray<string>): string | undefined => {
  const parts = id.split(":")
  for (let length = parts.length; length > 0; length--) {
    const found = nearest(parts.slice(0, length).join(":"), known)
    if (found !== undefined) return found
  }
  return undefined
}

export default unknownCommand
