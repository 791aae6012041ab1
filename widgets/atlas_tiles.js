// The tiles of the label picture: asked from the kernel when they come into sight, and the most recent ones kept.

const TILE_BYTES = 64e6; // kept in the browser, whatever the number of tasks

/**
 * split(): the split whose labels are shown, or null. arrived(level, done): a tile, or a part of it, is there.
 * failed(): a tile could not be computed.
 */
function tileStore(ui, about, { split, arrived, failed }) {
  const tiles = new Map(), broken = new Set(); // key -> { answer }; keys
  const most = Math.max(8, Math.floor(TILE_BYTES / (about.tileRows * about.tasks.length * 8)));
  const keyFor = (level, tile) => `${split()}/${level}/${tile}`;
  const available = (level, tile) => !ui.recorded || ui.recorded.has("tile", { level, number: tile, split: split() });

  async function load(level, tile, key) {
    const of = split();
    for (;;) {
      const answer = await ui.ask("tile", { level, number: tile, split: of }).catch((error) => { broken.add(key); failed(); throw error; });
      if (!tiles.has(key)) return; // dropped meanwhile
      tiles.set(key, { answer });
      arrived(level, answer.done);
      if (answer.done) return;
    }
  }

  /** Return a tile as { answer }, or null and ask for it. */
  function tile(level, number) {
    const key = keyFor(level, number), found = tiles.get(key);
    if (found) {
      tiles.delete(key);
      tiles.set(key, found); // the most recently used is last
      return found;
    }
    if (!available(level, number)) return null;
    tiles.set(key, {});
    ui.guarded(load)(level, number, key);
    for (const old of tiles.keys()) {
      if (tiles.size <= most) break;
      if (!old.endsWith("/0/0")) tiles.delete(old); // the whole picture stays
    }
    return null;
  }

  /** Return a tile only if it is loaded. */
  const loaded = (level, number) => tiles.get(keyFor(level, number))?.answer;

  /** Forget failures. Called when the reader moves on: a mere redraw must not ask for a failing tile again and again. */
  function retry() {
    broken.forEach((key) => tiles.delete(key));
    broken.clear();
  }

  return { tile, loaded, available, retry };
}
