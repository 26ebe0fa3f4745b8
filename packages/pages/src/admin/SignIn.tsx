import { useState } from "preact/hooks"

export const SignIn = ({
  message,
  onSignIn
}: {
  readonly message: string
  readonly onSignIn: (token: string) => Promise<void>
}) => {
  const [problem, setProblem] = useState(message)
  const [isAsking, setAsking] = useState(false)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    const token = String(new FormData(event.currentTarget as HTMLFormElement).get("token")).trim()
    if (token === "") return
    setAsking(true)
    setProblem("")
    try {
      // A header takes these characters alone.
      if (!/^[\x21-\x7e]+$/.test(token)) throw new Error("This is no token.")
      await onSignIn(token)
    } catch (error) {
      setProblem((error as Error).message)
      setAsking(false)
    }
  }
  return (
    <main class="sign-in">
      <form onSubmit={submit}>
        <h1>Sealog for operators</h1>
        <label>
          <span>Operator’s token</span>
          <input type="password" name="token" autocomplete="off" required spellcheck={false} />
        </label>
        <p class="problem" role="alert">
          {problem}
        </p>
        <button type="submit" class="button primary" disabled={isAsking}>
          {isAsking ? "Signing in…" : "Sign in"}
        </button>
        <p class="muted small">
          Make one with the server’s secret:
          <code class="command">sync-admin token mint --admin --user YOUR_NAME --expires 8h</code>
          The token stays in this tab, and is gone when you close it.
        </p>
      </form>
    </main>
  )
}
