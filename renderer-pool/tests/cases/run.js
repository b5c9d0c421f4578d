// Answers with what became of each case: "ok" or the error's stack. A case has so long to end.
import cases from "./cases.js";

const LIMIT_MS = 5_000;

async function outcome(run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still pending after ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  try {
    await Promise.race([run(), late]);
    return "ok";
  } catch (error) {
    return String(error?.stack ?? error);
  } finally {
    clearTimeout(timer);
  }
}

export async function outcomes() {
  const results = {};
  for (const [name, run] of Object.entries(cases)) results[name] = await outcome(run);
  return results;
}

export default {
  async fetch(request) {
    if (request.headers.has("x-isopod-warmup")) return new Response();
    return Response.json(await outcomes());
  },
};
