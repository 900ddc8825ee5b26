/* SPDX-License-Identifier: Apache-2.0 */
/* moldau: one program for everything. */
#include "commands.h"

int main(int argc, char **argv)
{
	return (int)cli_main(&moldau_program, argc, argv, stdout, stderr);
}
