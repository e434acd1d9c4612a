// ABOUT
// Generated; do not edit. load(bytes) gives the policy in NAME.wasm; bytes is an ArrayBuffer or a Uint8Array.

export const N_FEATURES = VALUE_N_FEATURES;
export const N_LOGITS = VALUE_N_LOGITS;
export const ACTION_LEN = VALUE_ACTION_LEN;
export const MASK_LEN = VALUE_MASK_LEN;

export async function load(bytes) {
  const { instance } = await WebAssembly.instantiate(bytes, {});
  const wasm = instance.exports;
  const buffer = wasm.memory.buffer;
  const obs = new Float32Array(buffer, wasm.obs(), N_FEATURES);
  const mask = new Uint8Array(buffer, wasm.mask(), Math.max(MASK_LEN, 1));
  const action = new VALUE_ARRAY(buffer, wasm.action(), ACTION_LEN);
  const logits = new Float32Array(buffer, wasm.logits(), N_LOGITS);
  const show = (observation) => {
    if (observation.length !== N_FEATURES) {
      throw new RangeError(`observation: expected ${N_FEATURES} numbers, got ${observation.length}`);
    }
    obs.set(observation);
  };
  return {
    // The likeliest action, an array of ACTION_LEN numbers; allowed: MASK_LEN flags, or nothing to allow all.
    act(observation, allowed) {
      show(observation);
      if (allowed) {
        mask.set(allowed);
      }
      if (wasm.act(allowed ? 1 : 0) !== 0) {
        throw new RangeError("the mask allows no choice of some part");
      }
      return Array.from(action);
    },
    logits(observation) {
      show(observation);
      wasm.compute_logits();
      return Float32Array.from(logits);
    },
    // Only there if the policy was exported with its value.
    value: wasm.value && ((observation) => {
      show(observation);
      return wasm.value();
    }),
    // 0 if every recorded decision comes out as it was.
    selfTest: () => wasm.self_test(),
  };
}
