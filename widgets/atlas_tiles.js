// The tiles of the label picture: requested from the kernel when they come into view; the most recent ones are kept.

const TILE_BYTES = 64e6; // kept in the browser, whatever the number of tasks

/**
 * split(): the split whose labels are shown, or null for all. arrived(level, done): called when a tile or a part of it arrives.
 * failed(): called when a tile could not be computed.
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
      if (!tiles.has(key)) return; // no longer needed
      tiles.set(key, { answer });
      arrived(level, answer.done);
      if (answer.done) return;
    }
  }

  /** Return a tile as { answer }; a tile that is not loaded has no answer yet, or is null, and is requested. */
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
      if (!old.endsWith("/0/0")) tiles.delete(old); // keep the tile of the whole picture
    }
    return null;
  }

  /** Return the answer of a tile that is loaded, otherwise undefined. */
  const loaded = (level, number) => tiles.get(keyFor(level, number))?.answer;

  /** Forget failed tiles, so they are requested again. A redraw must not do this: it would repeat a failing request forever. */
  function retry() {
    broken.forEach((key) => tiles.delete(key));
    broken.clear();
  }

  return { tile, loaded, available, retry };
}
