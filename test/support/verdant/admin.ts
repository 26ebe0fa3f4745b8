/** What an administrator does to a library, with connections of its own to the server's database. */
export { evict } from "../evict.ts"
