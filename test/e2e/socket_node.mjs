// Runs the scenarios of socket_scenarios.mjs with the WebSocket of the package named in the arguments.

import { runAll } from './socket_scenarios.mjs';

const [, , name, place] = process.argv;
const { WebSocket } = await import(name);
const open = {
  ws: (url, protocols, headers) => new WebSocket(url, protocols, { headers }),
  undici: (url, protocols, headers) => new WebSocket(url, { protocols, headers }),
}[name];

const outcome = await runAll({ ...JSON.parse(place), open, sendsHeaders: true });
process.stdout.write(JSON.stringify(outcome), () => process.exit(0));
