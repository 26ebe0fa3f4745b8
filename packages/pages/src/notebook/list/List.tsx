import type { Person } from "../session.ts"
export const List = ({ person }: { readonly person: Person }) => <h1>List of {person.name}</h1>
