import type { Random } from "./random.ts";
import type { ActorScenario } from "./scenario.ts";
export function drawActors(_random: Random): ActorScenario | undefined { return undefined; }
