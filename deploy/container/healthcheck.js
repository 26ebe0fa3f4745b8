/** Exits with 0 if the server of this container is ready, and with 1 if it is not. */
const port = process.env["SEALOG_PORT"] || "4000"
const { ok } = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(4000) }).catch(() => ({
  ok: false
}))
process.exitCode = ok ? 0 : 1
