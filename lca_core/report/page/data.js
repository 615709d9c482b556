// What travelled: compressed letters into text, text into the runs and their arrays.

const inflated = async (id) => {
  const letters = atob(document.getElementById(id).textContent.trim());
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
};

const KINDS = { f4: Float32Array, f8: Float64Array, i4: Int32Array };
const decoded = new WeakMap();

// The typed array of a packed one, decoded when first asked for.
const array = (packed) => {
  if (!decoded.has(packed)) {
    const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
    decoded.set(packed, new KINDS[packed.dtype](bytes.buffer));
  }
  return decoded.get(packed);
};

const row = (packed, i) => {
  const width = packed.shape[1];
  return array(packed).subarray(i * width, (i + 1) * width);
};

// Line i of lines that lie one behind the other.
const line = (packed, i) => {
  const ends = array(packed.ends);
  const x = array(packed.x).subarray(ends[i], ends[i + 1]);
  const y = array(packed.y).subarray(ends[i], ends[i + 1]);
  return { x, y };
};
