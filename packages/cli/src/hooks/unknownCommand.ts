/** Reports an unknown command like any other error: with a code, advice, and as JSON after `--json`. */
import type { Hook } from "@oclif/core"
import { CliFailure } from "../output/CliFailure.ts"
import { escapeControls, jsonText } from "../output/format.ts"

const unknownCommand: Hook.CommandNotFound = async ({ id, argv = [] }) => {
  const failure = new CliFailure({
    code: "USAGE",
    message: `There is no command ${id.replaceAll(":", " ")}.`,
    exitCode: 2,
    tryThis: "sync-admin --help"
  })
  process.exitCode = failure.exitCode
  if (argv.includes("--json")) process.stdout.write(`${jsonText(failure)}\n`)
  else process.stderr.write(escapeControls(failure.toText()))
}

export default unknownCommand
