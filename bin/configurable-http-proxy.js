#!/usr/bin/env node
import { main } from './program.js';

// The command is known by the name of this file.
await main(process.argv);
