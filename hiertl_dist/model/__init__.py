"""What is fitted: cluster types, the basis, its blocks and columns, parameters, energies of free atoms, solutions."""
