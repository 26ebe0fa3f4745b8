import { render } from "preact"
import { useEffect, useState } from "preact/hooks"
import { Mark } from "../shared/Mark.tsx"
import "./admin.css"
import { claimsOf, dropToken, heldToken, holdToken, onSignedOut, tryToken } from "./api.ts"
import { ConnectionsView } from "./Connections.tsx"
import { DocumentView } from "./DocumentView.tsx"
import { Deeds } from "./deeds.tsx"
import { until } from "./format.ts"
import { LibrariesView } from "./LibrariesView.tsx"
import { LibraryView } from "./LibraryView.tsx"
import { useSamples } from "./metrics.ts"
import { ServerView } from "./ServerView.tsx"
import { SignIn } from "./SignIn.tsx"
import { useRoute } from "./state.ts"
import { WebhooksView } from "./WebhooksView.tsx"
import { WebhookView } from "./WebhookView.tsx"

const PAGES = [
  ["Libraries", "libraries"],
  ["Connections", "connections"],
  ["Webhooks", "webhooks"],
  ["Server", "server"]
] as const

const Admin = () => {
  const [token, setToken] = useState(heldToken)
  const [message, setMessage] = useState("")
  const samples = useSamples(token !== null)
  const signOut = (why: string) => {
    dropToken()
    setToken(null)
    setMessage(why)
  }
  useEffect(() => onSignedOut((why) => signOut(`The server refused the token: ${why}`)), [])
  const signIn = async (given: string) => {
    await tryToken(given)
    holdToken(given)
    setToken(given)
    setMessage("")
  }
  // Around both: a secret stays on the screen when the token ends.
  return (
    <Deeds>
      {token === null ? (
        <SignIn message={message} onSignIn={signIn} />
      ) : (
        <Shell token={token} onSignOut={() => signOut("")}>
          {(route) => <View route={route} samples={samples} />}
        </Shell>
      )}
    </Deeds>
  )
}

type Route = ReadonlyArray<string>

const Shell = ({
  children,
  onSignOut,
  token
}: {
  readonly token: string
  readonly onSignOut: () => void
  readonly children: (route: Route) => preact.ComponentChild
}) => {
  const route = useRoute()
  const { endsAt, name } = claimsOf(token)
  const [page = "libraries"] = route
  useEffect(() => {
    document.title = [...route.slice(1).filter((part) => part !== "documents"), page, "Sealog"].join(" · ")
  }, [route.join("/")])
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to content
      </button>
      <header class="bar">
        <a class="brand" href="#/">
          <Mark />
          Sealog
        </a>
        <nav aria-label="Pages">
          {PAGES.map(([label, path]) => (
            <a key={path} href={`#/${path}`} aria-current={page === path ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <p class="operator">
          <strong>{name}</strong>
          {endsAt !== undefined && <span class="muted small"> token ends {until(endsAt)}</span>}
        </p>
        <button type="button" class="button" onClick={onSignOut}>
          Sign out
        </button>
      </header>
      <main id="main" tabIndex={-1}>
        {children(route)}
      </main>
    </>
  )
}

const View = ({ route, samples }: { readonly route: Route; readonly samples: ReturnType<typeof useSamples> }) => {
  const [page, libraryId, below, documentId] = route
  if (page === "webhooks") return libraryId === undefined ? <WebhooksView /> : <WebhookView id={libraryId} />
  if (page === "connections") return <ConnectionsView />
  if (page === "server") return <ServerView samples={samples} />
  if (libraryId === undefined) return <LibrariesView samples={samples} />
  if (below === "documents" && documentId !== undefined) {
    return <DocumentView key={`${libraryId}/${documentId}`} {...{ libraryId, documentId }} />
  }
  return <LibraryView key={libraryId} libraryId={libraryId} />
}

render(<Admin />, document.getElementById("app")!)
