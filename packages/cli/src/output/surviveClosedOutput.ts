/**
 * Lets a command finish its work when the reader of its output goes away, as `head` does. Without a listener, the next line
 * would end the process in the middle of that work.
 */
export const surviveClosedOutput = (): void => {
  // Text for people and log lines: a server outlives a full disk too.
  process.stderr.on("error", () => {})
  process.stdout.on("error", (error) => {
    if (!("code" in error && error.code === "EPIPE")) throw error
  })
}
