/** oclif's messages about wrong usage, as one sentence each that names the flag or the argument. */

export const usageMessage = (message: string): string =>
  message
    // The last line of oclif's message is the advice of the failure, and a note is about arguments behind a flag.
    .replace(/\nSee more help with --help$|\n\nNote: .*/s, "")
    .replace(/^The following errors? occurred:\n|^Missing \d+ required args?:\n/, (heading) =>
      heading.startsWith("Missing") ? MISSING : ""
    )
    // A line that goes on: of the flag whose value is wrong, and of a list that is wrapped.
    .replace(/ *\n(\t| {3,})/g, " ")
    .split("\n")
    .map((line, _, [first = ""]) =>
      sentenceOf(first.startsWith(MISSING) ? `${MISSING}${line.replace(MISSING, "")}` : line)
    )
    .join("\n")

const MISSING = "missing argument: "

const sentenceOf = (line: string): string => {
  const text = line.trim()
  for (const [pattern, sentence] of SENTENCES) if (pattern.test(text)) return text.replace(pattern, sentence)
  return /[.:]$/.test(text) ? text : `${text}.`
}

const SENTENCES: ReadonlyArray<readonly [RegExp, string]> = [
  [/^Missing required flag (\S+)$/, "The flag --$1 is missing."],
  [/^missing argument: (\S+) +(.*)$/, "The argument $1 is missing: $2."],
  [/^Parsing (--\S+) Expected (.*) but received: (.*)$/, "$1 takes $2, not $3."],
  [/^All of the following must be provided when using (--\S+): (.*)$/, "$1 needs $2 as well."],
  [/^One of the following must be provided when using (--\S+): (.*)$/, "$1 needs one of $2 as well."],
  [/^Exactly one of the following must be provided: (.*)$/, "The command takes exactly one of $1."],
  [/^At least one of the following must be provided: (.*)$/, "The command takes at least one of $1."],
  [/^(--[^\s=]+)(?:=.*)? cannot also be provided when using (--\S+)$/, "$1 and $2 exclude each other."],
  [/^Nonexistent flags?: (.*)$/, "The command has no flag $1."],
  [/^Unexpected arguments?: (.*)$/, "The command takes no argument $1."],
  [/^Flag (--\S+) expects a value$/, "$1 takes a value."],
  [/^Flag (--\S+) expects one of these values: (.*)$/, "$1 takes one of $2."],
  [/^Expected (--\S+?)=(.*) to be one of: (.*)$/, "$1 takes one of $3, not $2."]
]
