import type { Random } from "./random.ts";
import type { TcpScenario } from "./scenario.ts";
export function drawTcp(_random: Random): TcpScenario | undefined { return undefined; }
