/** A command that is not there is an error like any other: a code, what to try, JSON where JSON was asked for. */
import type { Hook } from "@oclif/core"
import { CliFailure } from "../output/CliFailure.ts"

const unknownCommand: Hook.CommandNotFound = async ({ id, argv = [] }) => {
  const failure = new CliFailure({
    code: "USAGE",
    message: `There is no command ${id.replaceAll(":", " ")}.`,
    exitCode: 2,
    tryThis: "sync-admin --help"
  })
  process.exitCode = failure.exitCode
  if (argv.includes("--json")) process.stdout.write(`${JSON.stringify(failure, null, 2)}\n`)
  else process.stderr.write(failure.toText())
}

export default unknownCommand
