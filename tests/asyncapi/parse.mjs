// What the parser of the AsyncAPI initiative says of a document: one JSON object per finding.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
for (const { severity, path, message } of diagnostics) {
  console.log(JSON.stringify({ severity, path: path.join("."), message }));
}
