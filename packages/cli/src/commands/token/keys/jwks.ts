import * as Args from "@oclif/core/args"
import { BaseCommand } from "../../../BaseCommand.ts"
import { keysOfFiles } from "../../../input/keyFiles.ts"
import { jsonText } from "../../../output/format.ts"

interface KeysJwksResult {
  readonly keys: ReadonlyArray<Readonly<Record<string, unknown>>>
}

export default class TokenKeysJwks extends BaseCommand<KeysJwksResult> {
  static override summary = "Print the public keys of files as a JSON Web Key Set, for serve --token-jwks."
  static override description =
    `Prints the public part of each key and nothing of a private key. Write it to a new file and rename that: a server reads the set again as soon as it has changed.`
  static override examples = [
    "<%= config.bin %> token keys jwks ./token-key.json > ./jwks.json",
    "<%= config.bin %> token keys jwks ./token-key-2.json ./token-key.json > ./jwks.json.new && mv ./jwks.json.new ./jwks.json"
  ]
  static override args = {
    files: Args.string({ description: "files of private or public keys", multiple: true, required: true })
  }

  async run(): Promise<KeysJwksResult> {
    const { args } = await this.parse(TokenKeysJwks)
    const keys = (await this.execute(keysOfFiles(args.files))).map(({ publicJwk }) => publicJwk)
    this.print(jsonText({ keys }))
    return { keys }
  }
}
