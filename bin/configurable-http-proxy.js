#!/usr/bin/env node
import { main } from '../dist/src/cli/main.js';

// The command is known by the name of this file.
await main(process.argv);
