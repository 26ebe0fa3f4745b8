/** The person in this window, and the token that the server gives everybody. */

/** The library of the server in dev mode. */
export const LIBRARY = "playground"

export interface Person {
  /** The window's own user for Verdant: two people may have one name. */
  readonly id: string
  readonly name: string
  readonly color: string
}

/** Dark enough for white text on them, and light enough for a dark page. */
const COLORS = ["#b8501f", "#2a6fc0", "#9a4fb5", "#15806b", "#c03a6b", "#7a7420"] as const
const NAMES = ["Ada", "Barbara", "Edith", "Frances", "Grace", "Hedy", "Joan", "Katherine", "Margaret", "Radia"] as const

/** The person of a window, who stays when the page is loaded again. The next window of the browser is the next person. */
export const personOf = (): Person => {
  const known = sessionStorage.getItem("person")
  if (known !== null) return JSON.parse(known)
  const last = localStorage.getItem("last person")
  const next = last === null ? Math.floor(Math.random() * NAMES.length * COLORS.length) : Number(last) + 1
  localStorage.setItem("last person", String(next))
  const [name, color] = [NAMES[next % NAMES.length]!, COLORS[next % COLORS.length]!]
  const person: Person = { id: `${name.toLowerCase()}-${crypto.randomUUID().slice(0, 6)}`, name, color }
  sessionStorage.setItem("person", JSON.stringify(person))
  return person
}

/** Names the endpoint of `serve --dev` that gives everybody a token. */
export const authEndpoint = (user: string): string =>
  `${location.origin}/auth/${LIBRARY}?user=${encodeURIComponent(user)}`
