// Decides on the rows of the file `rows` as the harness in C does: node run.mjs NAME [box].
import { readFileSync, writeFileSync } from "node:fs";

const name = process.argv[2];
const module = await import(`./${name}.mjs`);
const policy = await module.load(readFileSync(`${name}.wasm`));
if (policy.selfTest() !== 0) {
  throw new Error(`self-test ${policy.selfTest()}`);
}
const bytes = readFileSync("rows");
const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
const rows = view.getUint32(0, little);
const masked = view.getUint32(4, little) !== 0;
const isBox = process.argv[3] === "box";
const width = module.ACTION_LEN + module.N_LOGITS + (policy.value ? 1 : 0);
const out = new DataView(new ArrayBuffer(4 * width * rows));
let at = 8;
let to = 0;
const bits = new Uint32Array(1);
const number = new Float32Array(bits.buffer);
const put = (x) => {
  number[0] = x;
  out.setUint32(to, bits[0], little);
  to += 4;
};
for (let row = 0; row < rows; row++) {
  const observation = new Float32Array(module.N_FEATURES);
  for (let i = 0; i < observation.length; i++, at += 4) {
    observation[i] = view.getFloat32(at, little);
  }
  let mask;
  if (masked) {
    mask = bytes.subarray(at, at + module.MASK_LEN);
    at += module.MASK_LEN;
  }
  for (const x of policy.act(observation, mask)) {
    if (isBox) {
      put(x);
    } else {
      out.setInt32(to, x, little);
      to += 4;
    }
  }
  policy.logits(observation).forEach(put);
  if (policy.value) {
    put(policy.value(observation));
  }
}
writeFileSync("outputs", new Uint8Array(out.buffer));
