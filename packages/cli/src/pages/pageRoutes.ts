/**
 * Serves a built page from memory. Each file is a route of its own, so a request reaches these files and no other. The build
 * puts them into the package's folder `pages` (packages/pages).
 */
import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { extname, join } from "node:path"
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import * as Effect from "effect/Effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Layer from "effect/Layer"

const gzipped = promisify(gzip)

const types: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8"
}

/** Vite puts a hash of the content into the names of these files. */
const HASHED = "assets/"
const [FOREVER, ASK_AGAIN] = ["public, max-age=31536000, immutable", "no-cache"]

export interface PageOptions {
  /** Holds `index.html`, and the files that it loads. */
  readonly folder: string
  /** The path of the page: `/`, or `/admin`, whose files are below `/admin/`. */
  readonly path: "/" | `/${string}`
  /** Whether scripts of the page may write styles, as an editor does. Default: styles come from files alone. */
  readonly inlineStyles?: boolean
}

export const pageRoutes = ({ folder, path, inlineStyles = false }: PageOptions) => {
  const base = path.replace(/\/$/, "")
  const headers = { ...common, "content-security-policy": policy(inlineStyles) }
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.length + 1)
        .replaceAll("\\", "/")
    )
  const routes = names.map((name) => {
    const respond = fileResponse(readFileSync(join(folder, name)), name, headers)
    return HttpRouter.add("GET", name === "index.html" ? path : (`${base}/${name}` as `/${string}`), respond)
  })
  return Layer.mergeAll(Layer.empty, ...routes)
}

/** The page may load what this server sends, and talk to this server alone. `wasm-unsafe-eval`: libsodium is WebAssembly. */
const policy = (inlineStyles: boolean): string =>
  [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    `style-src 'self'${inlineStyles ? " 'unsafe-inline'" : ""}`,
    "img-src 'self' blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join("; ")

const common = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin"
}

/** Answers with the file, compressed if the client takes that, or with 304 if the client has it. */
const fileResponse = (bytes: Uint8Array, name: string, headers: Readonly<Record<string, string>>) => {
  const contentType = types[extname(name)] ?? "application/octet-stream"
  const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`
  const cached = {
    ...headers,
    etag,
    vary: "accept-encoding",
    "cache-control": name.startsWith(HASHED) ? FOREVER : ASK_AGAIN
  }
  let smaller: Promise<Uint8Array> | undefined
  return Effect.gen(function* () {
    const { headers: asked } = yield* HttpServerRequest.HttpServerRequest
    if (isListed(asked["if-none-match"], etag)) return HttpServerResponse.empty({ status: 304, headers: cached })
    if (!/\bgzip\b(?!;\s*q=0(\.0*)?\s*(,|$))/.test(asked["accept-encoding"] ?? "")) {
      return HttpServerResponse.uint8Array(bytes, { contentType, headers: cached })
    }
    smaller ??= gzipped(bytes)
    const body = yield* Effect.promise(() => smaller!)
    return HttpServerResponse.uint8Array(body, { contentType, headers: { ...cached, "content-encoding": "gzip" } })
  })
}

/** Proxies that compress make a strong ETag weak, and the comparison is a weak one (RFC 9110, section 13.1.2). */
const isListed = (list: string | undefined, etag: string): boolean =>
  list?.split(",").some((entry) => entry.trim() === "*" || entry.trim().replace(/^W\//, "") === etag) ?? false
